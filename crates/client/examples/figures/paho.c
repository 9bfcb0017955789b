/* Paho C's asynchronous client for the figures: paho TASK COUNT HOST:PORT prints seconds, CPU seconds, KiB. */
#include <MQTTAsync.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PAYLOAD = 64, IN_FLIGHT = 100, AHEAD = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static long done;
static int connected;

static void fail(const char *what, int code) {
    fprintf(stderr, "%s gave %d\n", what, code);
    exit(1);
}

static void count_one(void) {
    pthread_mutex_lock(&lock);
    done++;
    pthread_cond_signal(&moved);
    pthread_mutex_unlock(&lock);
}

static void on_connected(void *context, MQTTAsync_successData5 *data) {
    (void)context, (void)data;
    pthread_mutex_lock(&lock);
    connected++;
    pthread_cond_signal(&moved);
    pthread_mutex_unlock(&lock);
}

static void on_sent(void *context, MQTTAsync_successData5 *data) {
    (void)context, (void)data;
    count_one();
}

static void on_failure(void *context, MQTTAsync_failureData5 *data) {
    (void)context;
    fail("an operation", data ? data->code : 0);
}

static int on_message(void *context, char *topic, int length, MQTTAsync_message *message) {
    (void)context, (void)length;
    if (message->payloadlen != PAYLOAD) fail("a payload", message->payloadlen);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    count_one();
    return 1;
}

static void wait_for(long *counter, long target) {
    pthread_mutex_lock(&lock);
    while (*counter < target) pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

static MQTTAsync client(const char *address, const char *name) {
    MQTTAsync client;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
    create.maxBufferedMessages = AHEAD;
    int code = MQTTAsync_createWithOptions(&client, address, name, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    if (code != MQTTASYNC_SUCCESS) fail("create", code);
    MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL);
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
    options.maxInflight = IN_FLIGHT;
    options.cleanstart = 1;
    options.keepAliveInterval = 60;
    options.onSuccess5 = on_connected;
    options.onFailure5 = on_failure;
    pthread_mutex_lock(&lock);
    int before = connected;
    pthread_mutex_unlock(&lock);
    code = MQTTAsync_connect(client, &options);
    if (code != MQTTASYNC_SUCCESS) fail("connect", code);
    pthread_mutex_lock(&lock);
    while (connected == before) pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    return client;
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long resident(void) {
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kib);
    if (file) fclose(file);
    return kib;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const char *task = argv[1];
    long count = atol(argv[2]);
    int qos = task[strlen(task) - 1] - '0';
    char address[128];
    snprintf(address, sizeof address, "tcp://%s", argv[3]);
    if (strcmp(task, "idle") == 0) {
        double began = now(), used = cpu();
        long kib = resident();
        for (long number = 0; number < count; number++) {
            char name[32];
            snprintf(name, sizeof name, "idle-%ld", number);
            client(address, name);
        }
        printf("%f %f %ld\n", now() - began, cpu() - used, resident() - kib);
        return 0;
    }
    MQTTAsync one = client(address, "figures");
    double began = now(), used = cpu();
    long kib = resident();
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    options.onFailure5 = on_failure;
    if (strncmp(task, "receive", 7) == 0) {
        int code = MQTTAsync_subscribe(one, "figures/#", qos, &options);
        if (code != MQTTASYNC_SUCCESS) fail("subscribe", code);
    } else {
        static char payload[PAYLOAD];
        memset(payload, 'x', PAYLOAD);
        options.onSuccess5 = on_sent;
        for (long number = 0; number < count; number++) {
            if (number >= AHEAD) wait_for(&done, number - AHEAD + 1);
            int code = MQTTAsync_send(one, "figures/topic", PAYLOAD, payload, qos, 0, &options);
            if (code != MQTTASYNC_SUCCESS) fail("send", code);
        }
    }
    wait_for(&done, count);
    printf("%f %f %ld\n", now() - began, cpu() - used, resident() - kib);
    fflush(stdout);
    _Exit(0);
}
