//! What nodes do to the world, and what links and disks do then.

use super::*;

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(id) => {
                if self.nodes[&id].timer == Some(self.now) {
                    self.node(id).timer = None;
                    self.tell(id, Input::Timeout);
                }
            }
            Event::Leads(id) => {
                self.tell(id, Input::Leads(Some(LEADER), self.instant()));
                if self.nodes[&id].relay.is_some() {
                    self.at(TICK, Event::Leads(id));
                }
            }
            Event::Arrive(link) => self.arrive(link),
            Event::Connected(link) => {
                if let Some((lower, upstream)) = self.lower_end(link) {
                    self.tell(lower, Input::Up(follow::Input::Connected(upstream)));
                }
            }
            Event::Up(link, message) => {
                if let Some((upper, subscriber)) = self.upper_end(link) {
                    self.measure(upper, &message);
                    self.tell(upper, Input::Down(publish::Input::Received(subscriber, message)));
                }
            }
            Event::Down(link, message) => {
                if let Some((lower, upstream)) = self.lower_end(link) {
                    self.tell(lower, Input::Up(follow::Input::Received(upstream, message)));
                }
            }
            Event::Ended(link) => self.ended(link),
            Event::Flushed(id, boot) => self.flushed(id, boot),
            Event::Opened(id, boot, upstream, bytes) if self.nodes[&id].boot == boot => {
                let opened = crate::feed::rules::Rules::open(&self.nodes[&id].rules, &bytes);
                self.tell(id, Input::Up(follow::Input::Opened(upstream, opened)));
            }
            Event::Encoded(id, boot) if self.nodes[&id].boot == boot => {
                let head = &self.nodes[&id].head;
                let snapshot = Snapshot { position: position(head), bytes: self.rules.encode(head) };
                self.tell(id, Input::Down(publish::Input::Encoded(Arc::new(snapshot))));
            }
            Event::Shown(id, boot, revision) if self.nodes[&id].boot == boot => {
                self.tell(id, Input::Down(publish::Input::Plane(revision, None)));
            }
            Event::Applied(id, at) => {
                let (head, entry) = (self.history.heads[at + 1].clone(), Arc::clone(&self.history.entries[at]));
                self.applied(id, &head, entry);
            }
            Event::Opened(..) | Event::Encoded(..) | Event::Shown(..) => {}
        }
    }

    /// Raft may bring entries out of the simulation's order; it never does in its own.
    fn applied(&mut self, id: NodeId, head: &Head, entry: Arc<LogEntry>) {
        if entry.previous != self.nodes[&id].head.catalog.revision() {
            let at = self.history.entries.iter().position(|one| one.revision == entry.revision).unwrap();
            return self.at(Duration::from_millis(1), Event::Applied(id, at));
        }
        let node = self.node(id);
        (node.head, node.disk) = (head.clone(), head.clone());
        self.tell(id, Input::Down(publish::Input::Advanced(vec![entry])));
        self.show(id);
    }

    pub(super) fn show(&mut self, id: NodeId) {
        let (boot, revision) = (self.nodes[&id].boot, self.served(id));
        let delay = Duration::from_millis(self.rng.between(1, 10));
        self.at(delay, Event::Shown(id, boot, revision));
    }

    /// Commit to acknowledgement, for every node and revision, as the leader sees it.
    fn measure(&mut self, upper: NodeId, message: &Up) {
        let Up::Acks(acks) = message else { return };
        if upper != LEADER {
            return;
        }
        for ack in acks {
            let known = self.acked.get(&ack.node).copied().unwrap_or_default();
            if ack.revision > known {
                let range = (std::ops::Bound::Excluded(known), std::ops::Bound::Included(ack.revision));
                let now = self.now;
                self.figures.latencies.extend(self.committed_at.range(range).map(|(_, at)| now - *at));
                self.acked.insert(ack.node, ack.revision);
            }
        }
    }

    fn lower_end(&self, link: u64) -> Option<(NodeId, UpstreamId)> {
        let link = &self.links[usize::try_from(link).unwrap()];
        (link.open && self.nodes[&link.lower].relay.is_some()).then_some((link.lower, link.upstream))
    }

    fn upper_end(&self, link: u64) -> Option<(NodeId, SubscriberId)> {
        let link = &self.links[usize::try_from(link).unwrap()];
        (link.open && self.nodes[&link.upper].relay.is_some()).then_some((link.upper, link.subscriber))
    }

    fn arrive(&mut self, number: u64) {
        let Some((upper, _)) = self.upper_end(number) else { return };
        let node = self.node(upper);
        node.next_subscriber += 1;
        let id = SubscriberId(node.next_subscriber);
        node.downs.insert(id, number);
        let link = &mut self.links[usize::try_from(number).unwrap()];
        link.subscriber = id;
        let (lower, latency) = (link.lower, link.latency);
        self.tell(upper, Input::Down(publish::Input::Arrived(id, lower)));
        self.at(latency, Event::Connected(number));
    }

    fn ended(&mut self, number: u64) {
        let link = &mut self.links[usize::try_from(number).unwrap()];
        link.open = false;
        let (lower, upstream, upper, subscriber) = (link.lower, link.upstream, link.upper, link.subscriber);
        if self.node(lower).ups.get(&upstream) == Some(&number) {
            self.node(lower).ups.remove(&upstream);
            self.tell(lower, Input::Up(follow::Input::Closed(upstream)));
        }
        if self.node(upper).downs.get(&subscriber) == Some(&number) {
            self.node(upper).downs.remove(&subscriber);
            self.tell(upper, Input::Down(publish::Input::Closed(subscriber)));
        }
    }

    fn flushed(&mut self, id: NodeId, boot: u32) {
        let node = self.node(id);
        if node.boot != boot {
            return;
        }
        let flushed = node.unflushed.drain(..std::mem::take(&mut node.flushing)).next_back();
        if let Some(head) = flushed {
            let revision = head.catalog.revision();
            node.disk = head;
            self.tell(id, Input::Up(follow::Input::Persisted(revision)));
        }
        self.flush(id);
    }

    fn flush(&mut self, id: NodeId) {
        let delay = Duration::from_micros(self.rng.between(1000, 5000));
        let node = self.node(id);
        if node.flushing == 0 && !node.unflushed.is_empty() {
            node.flushing = node.unflushed.len();
            let boot = node.boot;
            self.at(delay, Event::Flushed(id, boot));
        }
    }

    pub(super) fn tell(&mut self, id: NodeId, input: Input) {
        let (now, mut actions) = (self.instant(), Vec::new());
        let Some(relay) = &mut self.node(id).relay else { return };
        relay.handle(now, input, &mut actions);
        for action in actions {
            match action {
                Action::Up(action) => self.up(id, action),
                Action::Down(action) => self.down(id, action),
            }
        }
        let Some(relay) = &self.node(id).relay else { return };
        let due = relay.next_timeout().saturating_duration_since(self.start).max(self.now + Duration::from_micros(1));
        if self.nodes[&id].timer.is_none_or(|timer| due < timer) {
            self.node(id).timer = Some(due);
            self.at(due - self.now, Event::Timer(id));
        }
    }

    fn up(&mut self, id: NodeId, action: follow::Action) {
        match action {
            follow::Action::Dial(upstream, to) => {
                let latency = Duration::from_micros(self.rng.between(1000, 80_000));
                let link = Link { upper: to, subscriber: SubscriberId(0), lower: id, upstream, latency, open: true };
                self.links.push(link);
                let number = self.links.len() as u64 - 1;
                self.node(id).ups.insert(upstream, number);
                self.at(latency, Event::Arrive(number));
            }
            follow::Action::Send(upstream, message) => {
                if let Some(number) = self.nodes[&id].ups.get(&upstream).copied() {
                    let latency = self.links[usize::try_from(number).unwrap()].latency;
                    self.at(latency, Event::Up(number, message));
                }
            }
            follow::Action::Close(upstream) => {
                if let Some(number) = self.node(id).ups.remove(&upstream) {
                    let latency = self.links[usize::try_from(number).unwrap()].latency;
                    self.at(latency, Event::Ended(number));
                }
            }
            follow::Action::Persist(entry) => {
                let at = self.history.entries.iter().rposition(|one| one.revision == entry.revision).unwrap();
                let head = self.history.heads[at + 1].clone();
                self.node(id).unflushed.push(head);
                self.flush(id);
            }
            follow::Action::PersistState(head, _) => {
                self.node(id).snapshots += 1;
                self.node(id).unflushed.push(head);
                self.flush(id);
            }
            follow::Action::Open(upstream, bytes) => {
                let boot = self.nodes[&id].boot;
                self.at(Duration::from_millis(20), Event::Opened(id, boot, upstream, bytes));
            }
            follow::Action::Advance(head, _) | follow::Action::Replace(head) => {
                self.node(id).head = head;
                self.show(id);
            }
            follow::Action::Refuse(_) | follow::Action::Accept | follow::Action::ForwardAll => unreachable!(),
        }
    }

    fn down(&mut self, id: NodeId, action: publish::Action) {
        match action {
            publish::Action::Send(subscriber, message) => {
                self.count(id, &message);
                if let Some(number) = self.nodes[&id].downs.get(&subscriber).copied() {
                    let latency = self.links[usize::try_from(number).unwrap()].latency;
                    self.at(latency, Event::Down(number, message));
                    self.tell(id, Input::Down(publish::Input::Sent(subscriber)));
                }
            }
            publish::Action::Close(subscriber) => {
                if let Some(number) = self.node(id).downs.remove(&subscriber) {
                    let latency = self.links[usize::try_from(number).unwrap()].latency;
                    self.at(latency, Event::Ended(number));
                }
            }
            publish::Action::Encode => {
                let boot = self.nodes[&id].boot;
                self.at(Duration::from_millis(20), Event::Encoded(id, boot));
            }
            publish::Action::Forward(_) => unreachable!(),
        }
    }

    fn count(&mut self, id: NodeId, message: &Down) {
        match message {
            Down::Delta(entry) => {
                let copies = self.node(id).copies.entry(entry.revision).or_default();
                *copies += 1;
                let copies = *copies;
                self.figures.deltas += 1;
                self.figures.copies_max = self.figures.copies_max.max(copies);
            }
            Down::Snapshot(..) => self.figures.snapshots += 1,
            Down::Heartbeat(_) => {
                let subscribers = self.relay(id).publisher().subscribers().count();
                self.figures.subscribers_max = self.figures.subscribers_max.max(subscribers);
                assert!(subscribers <= 2 * SUBSCRIBERS_MAX);
            }
            Down::Redirect(_) | Down::Chunk(_) => {}
        }
    }
}
