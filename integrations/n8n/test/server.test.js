'use strict';

// The nodes against a running Ponte.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Ponte } = require('../nodes/Ponte/Ponte.node');
const { PonteTrigger } = require('../nodes/Ponte/PonteTrigger.node');
const { called, context } = require('./n8n');
const { api, customerWrites, environment, eventually, receiver, skip } = require('../../testing/server');

const credentials = { baseUrl: `${environment.url}/`, apiKey: environment.key };

test('published, a workflow hears of messages; taken back, it does not', { skip }, async () => {
  const target = await receiver();
  const parameters = { events: ['message.received'], number: environment.number, direction: 'inbound' };
  const kept = {};
  const self = context({ parameters, credentials, kept, webhookUrl: target.url });
  const { webhookMethods, webhook } = { webhookMethods: new PonteTrigger().webhookMethods.default, webhook: PonteTrigger.prototype.webhook };
  assert.equal(await webhookMethods.checkExists.call(self), false);
  assert.equal(await webhookMethods.create.call(self), true);
  assert.match(kept.id, /^sub_/);
  assert.equal(await webhookMethods.checkExists.call(self), true);
  await customerWrites('4915111000911', 'from n8n');
  const pushed = await eventually('a message is pushed', () => target.calls[0]);
  const [run] = called(self, pushed);
  const { workflowData } = await webhook.call(run);
  assert.equal(workflowData[0][0].json.data.message.text, 'from n8n');
  const [forged, answered] = called(self, { ...pushed, rawBody: Buffer.from('{"forged":true}') });
  assert.deepEqual(await webhook.call(forged), { noWebhookResponse: true });
  assert.equal(answered.status, 401);
  const { id } = kept;
  assert.equal(await webhookMethods.delete.call(self), true);
  assert.deepEqual(kept, {});
  assert.equal((await api('GET', `/api/v1/hooks/${id}`)).status, 404);
  target.close();
});

test('another wish is another subscription, and a disabled or paused one is woken', { skip }, async () => {
  const target = await receiver();
  const [parameters, kept] = [{ events: ['message.received'], number: '', direction: '' }, {}];
  const self = context({ parameters, credentials, kept, webhookUrl: target.url });
  const methods = new PonteTrigger().webhookMethods.default;
  await methods.create.call(self);
  const first = kept.id;
  await api('PATCH', `/api/v1/hooks/${first}`, { state: 'paused' });
  assert.equal(await methods.checkExists.call(self), true);
  assert.equal((await api('GET', `/api/v1/hooks/${first}`)).data.state, 'active');
  parameters.events = ['message.status'];
  assert.equal(await methods.checkExists.call(self), false);
  assert.equal((await api('GET', `/api/v1/hooks/${first}`)).status, 404);
  await methods.create.call(self);
  assert.notEqual(kept.id, first);
  await api('DELETE', `/api/v1/hooks/${kept.id}`);
  assert.equal(await methods.checkExists.call(self), false, 'gone is not an error');
  target.close();
});

test('messages are sent, once under a key, and looked at', { skip }, async () => {
  await customerWrites('4915111000912', 'hello');
  const run = (parameters) => Ponte.prototype.execute.call(context({ parameters, credentials }));
  const wish = { operation: 'sendText', to: '+4915111000912', text: 'an answer', key: 'n8n-1' };
  const [[sent]] = await eventually('the window is open', () => run(wish).catch(() => null));
  const [[again]] = await run(wish);
  assert.deepEqual([again.json.id, again.json.again], [sent.json.id, true]);
  const [[template]] = await run({ operation: 'sendTemplate', to: '+4915111000912', template: 'hello_world', language: 'en_US' });
  assert.match(template.json.id, /^msg_/);
  const [[looked]] = await run({ operation: 'getMessage', id: sent.json.id });
  assert.equal(looked.json.text, 'an answer');
  await assert.rejects(run({ ...wish, to: '+4915111000999', key: '' }), /window_closed/);
});
