'use strict';

// A key from [[api.keys]], and where the server is.

class PonteApi {
  constructor() {
    this.name = 'ponteApi';
    this.displayName = 'Ponte API';
    this.properties = [
      {
        displayName: 'Address',
        name: 'baseUrl',
        type: 'string',
        default: '',
        placeholder: 'https://ponte.example.com',
        required: true,
      },
      {
        displayName: 'API Key',
        name: 'apiKey',
        type: 'string',
        typeOptions: { password: true },
        default: '',
        required: true,
        description: 'A key from [[api.keys]] of your configuration. Give n8n one of its own.',
      },
    ];
    this.authenticate = {
      type: 'generic',
      properties: { headers: { Authorization: '=Bearer {{$credentials.apiKey}}' } },
    };
    this.test = { request: { baseURL: '={{$credentials.baseUrl}}', url: '/api/v1/me' } };
  }
}

module.exports = { PonteApi };
