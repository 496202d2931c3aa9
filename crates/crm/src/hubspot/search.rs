//! Searches shared between callers: the search limit (5 a second for the whole account) is far below the rate at which new
//! people may write, so everyone who waits for a search goes into the next one, some dozen people at a time.
//! Must not touch: the choice among what is found.
//! Failure story: a search runs in a task of its own; a caller that gives up takes nothing from the others.

use super::batch::Record;
use super::client::Client;
use super::matching::{Wanted, group_size, only_these_rows};
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, oneshot};

/// Searches under way at the same time. Few, so that those who wait gather.
const AT_ONCE: usize = 3;

type Found = Result<Arc<Vec<Record>>, CallError>;

struct Waiting {
    wanted: Wanted,
    answer: oneshot::Sender<Found>,
}

/// Gathers people to be searched for.
pub(super) struct Searches {
    queue: Mutex<VecDeque<Waiting>>,
    places: Semaphore,
}

impl Searches {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }

    /// Contacts that any of these people's numbers bring up (and, perhaps, some that others asked for).
    pub(super) async fn find(
        self: &Arc<Self>,
        client: &Arc<Client>,
        wanted: &[Wanted],
    ) -> Result<Vec<Record>, CallError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<oneshot::Receiver<Found>> = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let enqueue = |wanted: &Wanted| {
                let (answer, receiver) = oneshot::channel();
                queue.push_back(Waiting { wanted: wanted.clone(), answer });
                receiver
            };
            wanted.iter().map(enqueue).collect()
        };
        let (searches, client) = (self.clone(), client.clone());
        tokio::spawn(async move { searches.serve(&client).await });
        let mut found: BTreeMap<String, Record> = BTreeMap::new();
        for answer in answers {
            let records = match answer.await {
                Ok(records) => records?,
                Err(_) => {
                    return Err(CallError::new(
                        ErrorClass::Retryable { after_ms: Some(SECOND) },
                        "search",
                        "a search was stopped",
                    ));
                }
            };
            found.extend(records.iter().map(|record| (record.id.clone(), record.clone())));
        }
        Ok(found.into_values().collect())
    }

    /// Searches until no one waits.
    async fn serve(&self, client: &Client) {
        loop {
            let Ok(_place) = self.places.acquire().await else { return };
            if self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            let turn = client.search_turn().await.map_err(only_these_rows);
            // Only now: whoever came during the wait goes along.
            let group = self.next_group();
            let wanted: Vec<&Wanted> = group.iter().map(|w| &w.wanted).collect();
            let found = match turn {
                Ok(()) if group.is_empty() => return,
                Ok(()) => client.search_phones(&wanted).await.map(Arc::new),
                Err(error) => Err(error),
            };
            for waiting in group {
                // Whoever doesn't listen any more needs no answer.
                let _ = waiting.answer.send(found.clone());
            }
        }
    }

    fn next_group(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let size = group_size(queue.iter().map(|w| &w.wanted));
        queue.drain(..size).collect()
    }
}
