'use strict';

// Sends by Ponte, and looks at messages.

const { ask } = require('../../lib/api');

const show = (...operations) => ({ show: { operation: operations } });

class Ponte {
  constructor() {
    this.description = {
      displayName: 'Ponte',
      name: 'ponte',
      icon: 'fa:comments',
      group: ['output'],
      version: 1,
      subtitle: '={{$parameter["operation"]}}',
      description: 'Send WhatsApp messages by Ponte',
      defaults: { name: 'Ponte' },
      inputs: ['main'],
      outputs: ['main'],
      credentials: [{ name: 'ponteApi', required: true }],
      properties: [
        {
          displayName: 'Operation',
          name: 'operation',
          type: 'options',
          noDataExpression: true,
          default: 'sendText',
          options: [
            { name: 'Send Text', value: 'sendText', action: 'Send a text', description: 'Within 24 hours of their last message' },
            { name: 'Send Template', value: 'sendTemplate', action: 'Send a template', description: 'At any time' },
            { name: 'Get Message', value: 'getMessage', action: 'Get a message' },
          ],
        },
        {
          displayName: 'To',
          name: 'to',
          type: 'string',
          required: true,
          default: '',
          displayOptions: show('sendText', 'sendTemplate'),
          description: 'A phone number with country code, or a person of Ponte (per_…)',
        },
        { displayName: 'Text', name: 'text', type: 'string', required: true, default: '', displayOptions: show('sendText') },
        { displayName: 'Template', name: 'template', type: 'string', required: true, default: '', displayOptions: show('sendTemplate') },
        { displayName: 'Language', name: 'language', type: 'string', required: true, default: 'en', displayOptions: show('sendTemplate') },
        {
          displayName: 'Values',
          name: 'values',
          type: 'string',
          typeOptions: { multipleValues: true },
          default: [],
          displayOptions: show('sendTemplate'),
          description: 'What stands for {{1}}, {{2}}, … in the text of the template',
        },
        {
          displayName: 'From',
          name: 'from',
          type: 'string',
          default: '',
          displayOptions: show('sendText', 'sendTemplate'),
          description: "Meta's phone_number_id. Empty: your first number.",
        },
        {
          displayName: 'Key',
          name: 'key',
          type: 'string',
          default: '',
          displayOptions: show('sendText', 'sendTemplate'),
          description: 'With the same key a message goes out once, however often the workflow is run',
        },
        { displayName: 'Message ID', name: 'id', type: 'string', required: true, default: '', displayOptions: show('getMessage') },
      ],
    };
  }

  async execute() {
    const done = [];
    for (const [i] of this.getInputData().entries()) {
      try {
        done.push({ json: await one(this, i), pairedItem: { item: i } });
      } catch (error) {
        if (!this.continueOnFail()) throw error;
        done.push({ json: { error: error.message }, pairedItem: { item: i } });
      }
    }
    return [done];
  }
}

function one(node, i) {
  const value = (name, otherwise) => node.getNodeParameter(name, i, otherwise);
  const operation = value('operation');
  if (operation === 'getMessage') return ask(node, 'GET', `/api/v1/messages/${encodeURIComponent(value('id'))}`);
  const to = String(value('to'));
  const body = { to: to.startsWith('per_') ? { person: to } : { phone: to }, message: message(value, operation) };
  const [from, key] = [value('from', ''), value('key', '')];
  if (from) body.from = String(from);
  return ask(node, 'POST', '/api/v1/messages', body, key ? { 'Idempotency-Key': String(key) } : {});
}

function message(value, operation) {
  if (operation === 'sendText') return { type: 'text', body: value('text') };
  const texts = value('values', []).filter((text) => text !== '');
  const parameters = texts.map((text) => ({ type: 'text', text: String(text) }));
  const components = parameters.length > 0 ? [{ type: 'body', parameters }] : [];
  return { type: 'template', template: { name: value('template'), language: { code: value('language') }, components } };
}

module.exports = { Ponte };
