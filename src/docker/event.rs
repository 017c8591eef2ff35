//! Listens to the engine's events.
//!
//! One task only reads and hands over, because a client that does not read its events slows the whole
//! engine down and loses them. What it hands over is no more than "something changed, read again".

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::time::Time;

use super::watch::Watch;
use super::{Docker, read};

/// What the engine's events come down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The stream is open: everything must be read, because earlier changes were not told.
    Connected,
    /// Something changed.
    Poke,
    /// The stream broke; it is opened again with growing pauses.
    Lost,
}

/// Events that mean a change; those that our own reads and probes cause are left with the engine.
const ACTIONS: [&str; 22] = [
    "create",
    "start",
    "die",
    "destroy",
    "update",
    "rename",
    "pause",
    "unpause",
    "oom",
    "health_status",
    "stop",
    "connect",
    "disconnect",
    "remove",
    "prune",
    "tag",
    "untag",
    "delete",
    "pull",
    "load",
    "import",
    "restart",
];

/// How far back stops by other people are looked for when the stream is first opened. The engine keeps
/// the last 256 events only.
const LOOK_BACK: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Docker {
    /// Listens to the engine until the receiver is dropped.
    pub async fn events(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(1);
        let docker = self.clone();
        tokio::spawn(async move { docker.listen(sender).await });
        receiver
    }

    async fn listen(&self, sender: mpsc::Sender<Event>) {
        let mut pause = Duration::from_millis(100);
        let mut since = read::now() - LOOK_BACK;
        while !sender.is_closed() {
            let opened = read::now();
            let was_open = self.follow(&sender, since).await;
            self.inner.watch().disconnect();
            if was_open {
                pause = Duration::from_millis(100);
                since = opened.max(since);
                if sender.send(Event::Lost).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Follows one stream to its end; returns whether it was open at all.
    async fn follow(&self, sender: &mpsc::Sender<Event>, since: Time) -> bool {
        let filters = HashMap::from([
            ("type".to_owned(), ["container", "image", "network", "volume"].map(str::to_owned).to_vec()),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ]);
        let since = format!("{}.{:03}", since.0.div_euclid(1000), since.0.rem_euclid(1000));
        let options = EventsOptions { since: Some(since), until: None, filters: Some(filters) };
        // The stream's own answer begins with its first event, so another call tells that the engine is there.
        let mut stream = std::pin::pin!(self.inner.client.events(Some(options)));
        let mut pending = None;
        let mut open = false;
        let alive = self.inner.client.ping();
        let mut alive = std::pin::pin!(alive);
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Some(Ok(event)) => {
                        take_in(&mut self.inner.watch(), &event);
                        if open && pending.is_none() {
                            pending = Some(Event::Poke);
                        }
                    }
                    Some(Err(_)) | None => return open,
                },
                answer = &mut alive, if !open => match answer {
                    Ok(_) => {
                        open = true;
                        self.inner.watch().connect();
                        pending = Some(Event::Connected);
                    }
                    Err(_) => return open,
                },
                permit = sender.reserve(), if pending.is_some() => match permit {
                    Ok(permit) => if let Some(event) = pending.take() { permit.send(event) },
                    Err(_) => return open,
                },
                () = sender.closed() => return open,
            }
        }
    }
}

fn take_in(watch: &mut Watch, event: &EventMessage) {
    let action = event.action.as_deref().unwrap_or_default();
    let actor = event.actor.as_ref();
    let id = actor.and_then(|actor| actor.id.as_deref()).unwrap_or_default();
    match event.typ {
        Some(EventMessageTypeEnum::CONTAINER) => {
            watch.touch_container(id);
            let at = Time(event.time_nano.unwrap_or_default() / 1_000_000);
            match action {
                "stop" | "pause" => watch.saw_stop(id, at),
                "start" | "unpause" => watch.saw_start(id, at),
                _ => {}
            }
        }
        Some(EventMessageTypeEnum::NETWORK) => {
            if let Some(container) = actor.and_then(|actor| actor.attributes.as_ref()?.get("container")) {
                watch.touch_container(container);
            }
            if !matches!(action, "connect" | "disconnect") {
                watch.touch_networks();
            }
        }
        Some(EventMessageTypeEnum::VOLUME) => watch.touch_volumes(),
        Some(EventMessageTypeEnum::IMAGE) => watch.touch_images(),
        _ => {}
    }
}
