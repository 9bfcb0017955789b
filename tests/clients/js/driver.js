// MQTT.js against a broker: driver.js HOST PORT VERSION SCENARIO
// TRANSPORT, if set, is ws or wss, and CA_FILE the authority of wss. VERSION is 31, 311 or 5; exits 0, or 1 with a message on standard error.
'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const mqtt = require('mqtt');

const [host, port, version, scenario] = process.argv.slice(2);
const PATIENCE_MS = 15000;
// Set from outside for the tests of transports: ws or wss, and the authority of wss.
const TRANSPORT = process.env.TRANSPORT
  ? { protocol: process.env.TRANSPORT, path: '/mqtt', ca: fs.readFileSync(process.env.CA_FILE) }
  : {};
// Set from outside for the tests of authentication.
const WHO = process.env.WHO === undefined ? {} : { username: process.env.WHO, password: process.env.PROOF };

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in time`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Client {
  static async connect(clientId, { lasting = false, will } = {}) {
    const client = new Client();
    client.waiting = [];
    client.messages = [];
    client.mqtt = mqtt.connect({
      host,
      port: Number(port),
      ...TRANSPORT,
      ...WHO,
      clientId,
      will,
      clean: !lasting,
      reconnectPeriod: 0,
      protocolId: version === '31' ? 'MQIsdp' : 'MQTT',
      protocolVersion: { 31: 3, 311: 4, 5: 5 }[version],
      properties: version === '5' ? { sessionExpiryInterval: lasting ? 100 : 0 } : undefined,
    });
    client.mqtt.on('message', (topic, payload, packet) => {
      client.messages.push(packet);
      client.waiting.shift()?.();
    });
    const connected = new Promise((resolve, reject) => {
      client.mqtt.once('connect', resolve);
      client.mqtt.once('error', reject);
    });
    client.connack = await within(connected, 'CONNACK');
    return client;
  }

  async subscribe(topic, qos) {
    const [granted] = await within(this.mqtt.subscribeAsync(topic, { qos }), 'SUBACK');
    assert.strictEqual(granted.qos, qos);
  }

  publish(topic, payload, qos = 1, retain = false) {
    return within(this.mqtt.publishAsync(topic, payload, { qos, retain }), 'acknowledgement');
  }

  async take() {
    if (this.messages.length === 0) {
      await within(new Promise((resolve) => this.waiting.push(resolve)), 'message');
    }
    return this.messages.shift();
  }

  // Nothing is on its way: a marker of one's own comes first.
  async nothing() {
    await this.subscribe('marker', 1);
    await this.publish('marker', '');
    assert.strictEqual((await this.take()).topic, 'marker');
  }

  disconnect() {
    return within(this.mqtt.endAsync(), 'end');
  }

  die() {
    this.mqtt.stream.destroy();
  }
}

async function roundtrip(qos) {
  const subscriber = await Client.connect('subscriber');
  const publisher = await Client.connect('publisher');
  await subscriber.subscribe('a/#', qos);
  for (let number = 0; number < 20; number += 1) await publisher.publish('a/b', String(number), qos);
  for (let number = 0; number < 20; number += 1) {
    const message = await subscriber.take();
    assert.deepStrictEqual([message.payload.toString(), message.qos], [String(number), qos]);
  }
  await subscriber.nothing();
}

async function retained() {
  const publisher = await Client.connect('publisher');
  await publisher.publish('r/x', 'kept', 1, true);
  const early = await Client.connect('early');
  await early.subscribe('r/#', 1);
  const message = await early.take();
  assert.deepStrictEqual([message.payload.toString(), message.retain], ['kept', true]);
  await publisher.publish('r/x', '', 1, true);
  assert.strictEqual((await early.take()).payload.length, 0);
  const late = await Client.connect('late');
  await late.subscribe('r/#', 1);
  await late.nothing();
}

async function will() {
  const watcher = await Client.connect('watcher');
  await watcher.subscribe('will', 1);
  const left = (payload) => ({ will: { topic: 'will', payload: Buffer.from(payload), qos: 1, retain: false } });
  await (await Client.connect('polite', left('not this'))).disconnect();
  (await Client.connect('dying', left('gone'))).die();
  assert.strictEqual((await watcher.take()).payload.toString(), 'gone');
  await watcher.nothing();
}

async function session() {
  const keeper = await Client.connect('keeper', { lasting: true });
  assert(!keeper.connack.sessionPresent);
  await keeper.subscribe('q', 2);
  await keeper.disconnect();
  const publisher = await Client.connect('publisher');
  for (let number = 0; number < 10; number += 1) await publisher.publish('q', String(number), number < 5 ? 1 : 2);
  const back = await Client.connect('keeper', { lasting: true });
  assert(back.connack.sessionPresent || version === '31');
  for (let number = 0; number < 10; number += 1) {
    assert.strictEqual((await back.take()).payload.toString(), String(number));
  }
  await back.nothing();
}

async function shared() {
  const members = [];
  for (let number = 0; number < 3; number += 1) {
    members.push(await Client.connect(`member${number}`));
    await members[number].subscribe('$share/g/s', 1);
  }
  const publisher = await Client.connect('publisher');
  for (let number = 0; number < 30; number += 1) await publisher.publish('s', String(number));
  const seen = [];
  for (const [number, member] of members.entries()) {
    await member.subscribe(`end/${number}`, 1);
    await publisher.publish(`end/${number}`, '');
    const before = seen.length;
    for (let message = await member.take(); message.topic === 's'; message = await member.take()) {
      seen.push(Number(message.payload.toString()));
    }
    assert(seen.length > before, `member ${number} got nothing`);
  }
  seen.sort((a, b) => a - b);
  assert.deepStrictEqual(seen, [...Array(30).keys()]);
}

async function payloadOf(size) {
  const subscriber = await Client.connect('subscriber');
  const publisher = await Client.connect('publisher');
  await subscriber.subscribe('big', 1);
  const payload = crypto.randomBytes(size);
  await publisher.publish('big', payload);
  assert(payload.equals((await subscriber.take()).payload), 'the payload changed');
}

const SCENARIOS = {
  qos0: () => roundtrip(0),
  qos1: () => roundtrip(1),
  qos2: () => roundtrip(2),
  retained,
  will,
  session,
  shared,
  big: () => payloadOf(1 << 20),
  maximum: () => payloadOf((2 << 20) - 1024),
};

SCENARIOS[scenario]().then(
  () => process.exit(0),
  (error) => {
    console.error(`${scenario}: ${error.stack}`);
    process.exit(1);
  },
);
