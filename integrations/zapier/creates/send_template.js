'use strict';

const { recipient, sample, send } = require('../lib/send');

/** The words of the template's text, in order: {{1}}, {{2}}, … */
function components(values) {
  const texts = (values || []).filter((value) => value !== undefined && value !== null && value !== '');
  if (texts.length === 0) return [];
  return [{ type: 'body', parameters: texts.map((text) => ({ type: 'text', text: String(text) })) }];
}

function perform(z, bundle) {
  const { name, language, values, class: why } = bundle.inputData;
  const template = { name, language: { code: language }, components: components(values) };
  return send(z, bundle, { type: 'template', template }, why ? { class: why } : {});
}

module.exports = {
  key: 'send_template',
  noun: 'Message',
  display: {
    label: 'Send Template',
    description: 'Sends a template that Meta approved, also outside the 24 hours.',
  },
  operation: {
    inputFields: [
      ...recipient,
      { key: 'name', label: 'Template', required: true, helpText: 'Its name at Meta, such as order_ready.' },
      { key: 'language', label: 'Language', required: true, default: 'en', helpText: 'Its language at Meta, such as en or pt_BR.' },
      { key: 'values', label: 'Values', list: true, required: false, helpText: 'What stands for {{1}}, {{2}}, … in its text.' },
      {
        key: 'class',
        label: 'Why it is sent',
        required: false,
        choices: { transactional: 'An order, an appointment, a code', marketing: 'Marketing: needs consent' },
      },
    ],
    perform,
    sample,
  },
};
