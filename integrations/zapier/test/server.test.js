'use strict';

// The app against a running Ponte.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const app = require('..');
const { AppError, ExpiredAuthError, z } = require('./z');
const { api, customerWrites, environment, eventually, receiver, skip } = require('../../testing/server');

const authData = { base_url: environment.url, api_key: environment.key };
const bundle = (more = {}) => ({ authData, inputData: {}, ...more });
const call = (perform, given) => perform(z(given), given);
const { operation: newMessage } = app.triggers.new_message;

test('a key is good or it is not', { skip }, async () => {
  const me = await call(app.authentication.test, bundle());
  assert.equal(typeof me.name, 'string');
  const wrong = bundle({ authData: { ...authData, api_key: 'no-such-key' } });
  await assert.rejects(call(app.authentication.test, wrong), ExpiredAuthError);
});

test('samples are an array in the shape of the sample', { skip }, async () => {
  for (const { key, operation } of Object.values(app.triggers)) {
    const samples = await call(operation.performList, bundle());
    assert.ok(Array.isArray(samples) && samples.length >= 1 && samples.length <= 3, key);
    assert.equal(new Set(samples.map((one) => one.id)).size, samples.length, key);
    for (const part of [(one) => one, (one) => one.data, (one) => one.data.person]) {
      assert.deepEqual(Object.keys(part(samples[0])).sort(), Object.keys(part(operation.sample)).sort(), key);
    }
    if (operation.sample.data.message) {
      assert.deepEqual(Object.keys(samples[0].data.message).sort(), Object.keys(operation.sample.data.message).sort(), key);
    }
  }
});

test('subscribed, a message is pushed; unsubscribed, none is', { skip }, async () => {
  const target = await receiver();
  const given = bundle({ targetUrl: target.url, inputData: { number: environment.number } });
  const subscribeData = await call(newMessage.performSubscribe, given);
  assert.match(subscribeData.id, /^sub_/);
  await customerWrites('4915111000901', 'from zapier');
  const pushed = await eventually('a message is pushed', () => target.calls[0]);
  const [event] = newMessage.perform(z(given), { ...given, cleanedRequest: pushed.body });
  assert.equal(event.type, 'message.received');
  assert.equal(event.data.message.text, 'from zapier');
  assert.equal(event.data.person.phone, '+4915111000901');
  assert.equal(pushed.headers['webhook-id'], event.id);
  const taken = bundle({ subscribeData });
  await call(newMessage.performUnsubscribe, taken);
  await call(newMessage.performUnsubscribe, taken);
  assert.equal((await api('GET', `/api/v1/hooks/${subscribeData.id}`)).status, 404);
  target.close();
});

test('a Zap that is gone (410) is unsubscribed', { skip }, async () => {
  const target = await receiver();
  target.status = 410;
  const given = bundle({ targetUrl: target.url });
  const subscribeData = await call(newMessage.performSubscribe, given);
  await customerWrites('4915111000902', 'to nobody');
  await eventually('it is gone', async () => (await api('GET', `/api/v1/hooks/${subscribeData.id}`)).status === 404);
  assert.equal(target.calls.length, 1);
  target.close();
});

test('a text is sent once under its key, and a refusal says why', { skip }, async () => {
  await customerWrites('4915111000903', 'hello');
  const { perform } = app.creates.send_message.operation;
  const inputData = { to: '+4915111000903', text: 'an answer', idempotency_key: 'zap-1' };
  const sent = await eventually('the window is open', () => call(perform, bundle({ inputData })).catch(() => null));
  const again = await call(perform, bundle({ inputData }));
  assert.deepEqual([again.id, again.again], [sent.id, true]);
  const stranger = bundle({ inputData: { to: '+4915111000999', text: 'out of the blue' } });
  await assert.rejects(call(perform, stranger), (error) => {
    assert.ok(error instanceof AppError && error.code === 'window_closed', String(error));
    assert.match(error.message, /24-hour/);
    return true;
  });
});

test('a template goes out', { skip }, async () => {
  const { perform } = app.creates.send_template.operation;
  const inputData = { to: '+4915111000903', name: 'hello_world', language: 'en_US', class: 'transactional' };
  const sent = await call(perform, bundle({ inputData }));
  assert.match(sent.id, /^msg_/);
});
