'use strict';

const { recipient, sample, send } = require('../lib/send');

module.exports = {
  key: 'send_message',
  noun: 'Message',
  display: {
    label: 'Send Message',
    description: 'Sends a text to somebody who wrote within the last 24 hours.',
  },
  operation: {
    inputFields: [
      ...recipient,
      { key: 'text', label: 'Text', type: 'text', required: true, helpText: 'At most 4,096 characters.' },
    ],
    perform: (z, bundle) => send(z, bundle, { type: 'text', body: bundle.inputData.text }),
    sample,
  },
};
