//! Everything durable: journal, events, lanes, people, conversations, messages; SQLite and PostgreSQL.
