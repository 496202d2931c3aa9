'use strict';

// The app as a value: what Zapier's schema asks for.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const app = require('..');

test('every trigger is a REST hook with samples', () => {
  assert.deepEqual(Object.keys(app.triggers), ['new_message', 'message_status', 'consent_changed', 'person_changed']);
  for (const { key, noun, display, operation } of Object.values(app.triggers)) {
    assert.match(key, /^[a-z_]+$/);
    assert.ok(noun && display.label && /^Triggers when .*\.$/.test(display.description), key);
    assert.equal(operation.type, 'hook');
    for (const name of ['performSubscribe', 'performUnsubscribe', 'perform', 'performList']) {
      assert.equal(typeof operation[name], 'function', `${key}.${name}`);
    }
    assert.ok(operation.sample.id && operation.outputFields.length > 0, key);
  }
});

test('every action has fields and a sample', () => {
  for (const { operation, display } of Object.values(app.creates)) {
    assert.equal(typeof operation.perform, 'function');
    assert.ok(operation.sample.id && display.description.endsWith('.'));
    const keys = operation.inputFields.map((field) => field.key);
    assert.equal(new Set(keys).size, keys.length);
  }
});

test('the platform is declared in one exact version', () => {
  assert.match(app.platformVersion, /^\d+\.\d+\.\d+$/);
});

test('the values of a template become its parameters, and none is no component', () => {
  const calls = [];
  const z = { request: async (request) => (calls.push(request), { data: {} }) };
  const inputData = { to: '+491511', name: 'order_ready', language: 'en', values: ['Ana', 1042] };
  const { perform } = app.creates.send_template.operation;
  return Promise.all([
    perform(z, { authData: { base_url: 'https://x/' }, inputData }),
    perform(z, { authData: { base_url: 'https://x' }, inputData: { ...inputData, to: 'per_1', values: undefined } }),
  ]).then(() => {
    assert.equal(calls[0].url, 'https://x/api/v1/messages');
    assert.deepEqual(calls[0].body.to, { phone: '+491511' });
    assert.deepEqual(calls[0].body.message.template.components, [
      { type: 'body', parameters: [{ type: 'text', text: 'Ana' }, { type: 'text', text: '1042' }] },
    ]);
    assert.deepEqual([calls[1].body.to, calls[1].body.message.template.components], [{ person: 'per_1' }, []]);
  });
});
