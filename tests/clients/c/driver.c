/* Paho C against a broker: driver HOST PORT VERSION SCENARIO
 * VERSION is 31, 311 or 5; exits 0, or 1 with a message on standard error. */
#include <MQTTClient.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 15000 };

static char address[256];
static int version;
static const char *scenario;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", scenario);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    _exit(1);
}

static void check(int code, const char *what) {
    if (code != MQTTCLIENT_SUCCESS) fail("%s gave %d", what, code);
}

static int is_five(void) { return version == MQTTVERSION_5; }

static MQTTClient start(const char *id, int lasting, const char *will, int *present) {
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    create.MQTTVersion = version;
    check(MQTTClient_createWithOptions(&client, address, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create), "create");
    MQTTClient_connectOptions three = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions five = MQTTClient_connectOptions_initializer5;
    MQTTClient_connectOptions options = is_five() ? five : three;
    MQTTClient_willOptions last = MQTTClient_willOptions_initializer;
    options.MQTTVersion = version;
    if (will != NULL) {
        last.topicName = "will";
        last.message = will;
        last.qos = 1;
        options.will = &last;
    }
    if (!is_five()) {
        options.cleansession = !lasting;
        check(MQTTClient_connect(client, &options), "connect");
        if (present != NULL) *present = options.returned.sessionPresent;
        return client;
    }
    MQTTProperties properties = MQTTProperties_initializer;
    MQTTProperty expiry;
    expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
    expiry.value.integer4 = lasting ? 100 : 0;
    MQTTProperties_add(&properties, &expiry);
    options.cleanstart = !lasting;
    MQTTResponse response = MQTTClient_connect5(client, &options, &properties, NULL);
    check(response.reasonCode, "connect");
    if (present != NULL) *present = options.returned.sessionPresent;
    MQTTResponse_free(response);
    MQTTProperties_free(&properties);
    return client;
}

static void stop(MQTTClient client) {
    if (is_five()) {
        check(MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL), "disconnect");
    } else {
        check(MQTTClient_disconnect(client, 1000), "disconnect");
    }
    MQTTClient_destroy(&client);
}

static void subscribe(MQTTClient client, const char *topic, int qos) {
    if (is_five()) {
        MQTTResponse response = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
        if ((int)response.reasonCode != qos) fail("SUBACK %d for QoS %d", response.reasonCode, qos);
        MQTTResponse_free(response);
    } else {
        check(MQTTClient_subscribe(client, topic, qos), "subscribe");
    }
}

static void publish(MQTTClient client, const char *topic, const void *payload, size_t length, int qos, int retained) {
    MQTTClient_deliveryToken token;
    if (is_five()) {
        MQTTResponse response = MQTTClient_publish5(client, topic, (int)length, payload, qos, retained, NULL, &token);
        check(response.reasonCode, "publish");
        MQTTResponse_free(response);
    } else {
        check(MQTTClient_publish(client, topic, (int)length, payload, qos, retained, &token), "publish");
    }
    check(MQTTClient_waitForCompletion(client, token, PATIENCE_MS), "acknowledgement");
}

static void say(MQTTClient client, const char *topic, const char *text, int qos) {
    publish(client, topic, text, strlen(text), qos, 0);
}

/* The next message, whose topic must be `topic` where that is not NULL; its payload as an allocated string. */
static char *take(MQTTClient client, const char *topic, MQTTClient_message *details) {
    char *name = NULL;
    int name_length;
    MQTTClient_message *message = NULL;
    check(MQTTClient_receive(client, &name, &name_length, &message, PATIENCE_MS), "receive");
    if (message == NULL) fail("no message on %s in time", topic == NULL ? "any topic" : topic);
    if (topic != NULL && strcmp(name, topic) != 0) fail("a message on %s instead of %s", name, topic);
    char *text = malloc((size_t)message->payloadlen + 1);
    memcpy(text, message->payload, (size_t)message->payloadlen);
    text[message->payloadlen] = 0;
    if (details != NULL) *details = *message;
    MQTTClient_freeMessage(&message);
    MQTTClient_free(name);
    return text;
}

static void expect(MQTTClient client, const char *topic, const char *text, int qos) {
    MQTTClient_message details;
    char *got = take(client, topic, &details);
    if (strcmp(got, text) != 0) fail("%s instead of %s", got, text);
    if (qos >= 0 && details.qos != qos) fail("QoS %d instead of %d", details.qos, qos);
    free(got);
}

/* Nothing is on its way: a marker of one's own comes first. */
static void nothing(MQTTClient client) {
    subscribe(client, "marker", 1);
    say(client, "marker", "", 1);
    free(take(client, "marker", NULL));
}

static void roundtrip(int qos) {
    MQTTClient subscriber = start("subscriber", 0, NULL, NULL), publisher = start("publisher", 0, NULL, NULL);
    char text[16];
    subscribe(subscriber, "a/#", qos);
    for (int number = 0; number < 20; number++) {
        snprintf(text, sizeof text, "%d", number);
        say(publisher, "a/b", text, qos);
    }
    for (int number = 0; number < 20; number++) {
        snprintf(text, sizeof text, "%d", number);
        expect(subscriber, "a/b", text, qos);
    }
    nothing(subscriber);
}

static void retained(void) {
    MQTTClient publisher = start("publisher", 0, NULL, NULL), early = start("early", 0, NULL, NULL);
    MQTTClient late = start("late", 0, NULL, NULL);
    MQTTClient_message details;
    publish(publisher, "r/x", "kept", 4, 1, 1);
    subscribe(early, "r/#", 1);
    char *text = take(early, "r/x", &details);
    if (strcmp(text, "kept") != 0 || !details.retained) fail("%s, retained %d", text, details.retained);
    free(text);
    publish(publisher, "r/x", "", 0, 1, 1);
    expect(early, "r/x", "", 1);
    subscribe(late, "r/#", 1);
    nothing(late);
}

/* A process that connects and ends takes its connection with it. */
static void will(void) {
    int ready[2];
    char byte = 0;
    if (pipe(ready) != 0) fail("no pipe");
    pid_t child = fork();
    if (child == 0) {
        stop(start("polite", 0, "not this", NULL));
        start("dying", 0, "gone", NULL);
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        pause();
        _exit(1);
    }
    MQTTClient watcher = start("watcher", 0, NULL, NULL);
    subscribe(watcher, "will", 1);
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) fail("the dying client did not connect");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    expect(watcher, "will", "gone", 1);
    nothing(watcher);
}

static void session(void) {
    int present = 0;
    char text[16];
    MQTTClient keeper = start("keeper", 1, NULL, &present);
    if (present) fail("a new client has a session");
    subscribe(keeper, "q", 2);
    stop(keeper);
    MQTTClient publisher = start("publisher", 0, NULL, NULL);
    for (int number = 0; number < 10; number++) {
        snprintf(text, sizeof text, "%d", number);
        say(publisher, "q", text, 1 + number / 5);
    }
    MQTTClient back = start("keeper", 1, NULL, &present);
    /* The library tells Session Present to 3.1.1 alone. */
    if (!present && version == MQTTVERSION_3_1_1) fail("the session is gone");
    for (int number = 0; number < 10; number++) {
        snprintf(text, sizeof text, "%d", number);
        expect(back, "q", text, 1 + number / 5);
    }
    nothing(back);
}

static void shared(void) {
    enum { MEMBERS = 3, MESSAGES = 30 };
    MQTTClient members[MEMBERS], publisher = start("publisher", 0, NULL, NULL);
    int seen[MESSAGES] = {0};
    char text[16];
    for (int number = 0; number < MEMBERS; number++) {
        snprintf(text, sizeof text, "member%d", number);
        members[number] = start(text, 0, NULL, NULL);
        subscribe(members[number], "$share/g/s", 1);
    }
    for (int number = 0; number < MESSAGES; number++) {
        snprintf(text, sizeof text, "%d", number);
        say(publisher, "s", text, 1);
    }
    for (int number = 0; number < MEMBERS; number++) {
        snprintf(text, sizeof text, "end/%d", number);
        subscribe(members[number], text, 1);
        say(publisher, text, "end", 1);
        int share = 0;
        for (char *got = take(members[number], NULL, NULL); strcmp(got, "end") != 0;
             got = take(members[number], NULL, NULL)) {
            seen[atoi(got)]++;
            share++;
            free(got);
        }
        if (share == 0) fail("member %d got nothing", number);
    }
    for (int number = 0; number < MESSAGES; number++) {
        if (seen[number] != 1) fail("message %d came %d times", number, seen[number]);
    }
}

static void payload_of(size_t size) {
    MQTTClient subscriber = start("subscriber", 0, NULL, NULL), publisher = start("publisher", 0, NULL, NULL);
    char *payload = malloc(size);
    for (size_t at = 0; at < size; at++) payload[at] = (char)(at * 31 + at / 251);
    subscribe(subscriber, "big", 1);
    publish(publisher, "big", payload, size, 1, 0);
    MQTTClient_message details;
    char *got = take(subscriber, "big", &details);
    if ((size_t)details.payloadlen != size || memcmp(got, payload, size) != 0) fail("the payload changed");
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    snprintf(address, sizeof address, "tcp://%s:%s", arguments[1], arguments[2]);
    version = strcmp(arguments[3], "5") == 0    ? MQTTVERSION_5
              : strcmp(arguments[3], "31") == 0 ? MQTTVERSION_3_1
                                                : MQTTVERSION_3_1_1;
    scenario = arguments[4];
    if (strncmp(scenario, "qos", 3) == 0) {
        roundtrip(scenario[3] - '0');
    } else if (strcmp(scenario, "retained") == 0) {
        retained();
    } else if (strcmp(scenario, "will") == 0) {
        will();
    } else if (strcmp(scenario, "session") == 0) {
        session();
    } else if (strcmp(scenario, "shared") == 0) {
        shared();
    } else if (strcmp(scenario, "big") == 0) {
        payload_of((size_t)1 << 20);
    } else if (strcmp(scenario, "maximum") == 0) {
        payload_of(((size_t)2 << 20) - 1024);
    } else {
        fail("unknown scenario");
    }
    _exit(0);
}
