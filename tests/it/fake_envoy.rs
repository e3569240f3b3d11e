//! A pure model of Envoy's side of the protocol, checked against what is known of Envoy 1.40: it warms clusters before
//! it uses them and withholds the CDS answer meanwhile, applies a rejected CDS response in part, keeps routes and
//! endpoints that are removed, and comes back with what it has.
//!
//! It is driven like the session it talks to: updates go in, requests come out. [`FakeEnvoy::dangling`] is the
//! property everything turns on: traffic never goes to a cluster that is not there and warm.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serin::xds::{Request, RequestBody, Resource, ResourceType, Response, Variant};

/// What the model reads from a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) version: String,
    pub(crate) endpoints: Option<String>,
    pub(crate) clusters: BTreeSet<String>,
    /// Of a listener: the route configurations it asks for.
    pub(crate) routes: BTreeSet<String>,
    /// Whether it is rejected.
    pub(crate) bad: bool,
    /// Of endpoints: whether there are none.
    pub(crate) empty: bool,
}

impl Content {
    /// What a session's resource says of itself; routes and badness are for the caller to see.
    pub(crate) fn of(resource: &Resource) -> Self {
        Self {
            version: resource.version.to_string(),
            endpoints: resource.endpoints.as_ref().map(ToString::to_string),
            clusters: resource.clusters.iter().map(ToString::to_string).collect(),
            routes: BTreeSet::new(),
            bad: false,
            empty: false,
        }
    }
}

/// A response as the model takes it.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) ty: ResourceType,
    pub(crate) nonce: String,
    pub(crate) version: String,
    pub(crate) resources: Vec<(String, Content)>,
    pub(crate) removed: Vec<String>,
}

impl Update {
    /// `content` reads a resource of the response's type.
    pub(crate) fn of(response: &Response, content: impl Fn(ResourceType, &Resource) -> Content) -> Self {
        Self {
            ty: response.ty,
            nonce: response.nonce.to_string(),
            version: response.version.to_string(),
            resources: response.resources.iter().map(|r| (r.name.to_string(), content(response.ty, r))).collect(),
            removed: response.removed.iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Debug, Default, Clone)]
struct Cluster {
    /// In use.
    active: Option<Content>,
    /// Waits for its endpoints and its health checks.
    warming: Option<Content>,
    /// Whether endpoints came since it began to warm.
    fed: bool,
}

/// The model client.
#[derive(Debug, Clone)]
pub(crate) struct FakeEnvoy {
    variant: Variant,
    clusters: BTreeMap<String, Cluster>,
    endpoints: BTreeMap<String, Content>,
    listeners: BTreeMap<String, Content>,
    routes: BTreeMap<String, Content>,
    /// Whether clusters with endpoints finish warming at once (no health checks).
    pub(crate) warms_at_once: bool,
    /// The CDS answer that waits until all clusters are warm: nonce, version, error.
    withheld: VecDeque<(String, String, Option<String>)>,
    /// Whether it has ever been sent clusters: it asks for listeners once those are warm.
    took_clusters: bool,
    subscribed: BTreeMap<ResourceType, BTreeSet<String>>,
    versions: BTreeMap<ResourceType, String>,
    /// Last nonce per type.
    nonces: BTreeMap<ResourceType, String>,
    /// Clusters it rejected and has nothing older of.
    pub(crate) refused: BTreeSet<String>,
    requests: VecDeque<Request>,
}

impl FakeEnvoy {
    pub(crate) fn new(variant: Variant) -> Self {
        let mut envoy = Self {
            variant,
            clusters: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            listeners: BTreeMap::new(),
            routes: BTreeMap::new(),
            warms_at_once: true,
            withheld: VecDeque::new(),
            took_clusters: false,
            subscribed: BTreeMap::new(),
            versions: BTreeMap::new(),
            nonces: BTreeMap::new(),
            refused: BTreeSet::new(),
            requests: VecDeque::new(),
        };
        envoy.subscribe(ResourceType::Cluster);
        envoy
    }

    /// The stream broke: a new one starts, with what it has.
    pub(crate) fn reconnect(&mut self) {
        self.requests.clear();
        self.nonces.clear();
        self.subscribed.clear();
        let warming = self.clusters.values().any(|cluster| cluster.warming.is_some());
        self.withheld.clear();
        if !warming {
            self.subscribe(ResourceType::Cluster);
        }
        if !self.clusters.is_empty() {
            self.subscribe(ResourceType::Endpoint);
        }
        if self.versions.contains_key(&ResourceType::Listener) {
            self.subscribe(ResourceType::Listener);
        }
        if !self.wanted(ResourceType::Route).is_empty() {
            self.subscribe(ResourceType::Route);
        }
    }

    pub(crate) fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Takes a response.
    pub(crate) fn handle(&mut self, update: &Update) {
        self.nonces.insert(update.ty, update.nonce.clone());
        let bad: Vec<&str> = update.resources.iter().filter(|(_, c)| c.bad).map(|(name, _)| name.as_str()).collect();
        let error = (!bad.is_empty()).then(|| format!("Error adding/updating resource(s) {}: refused", bad.join(", ")));
        match update.ty {
            ResourceType::Cluster => self.take_clusters(update, error),
            ty => {
                if error.is_none() {
                    self.take(ty, update);
                    self.versions.insert(ty, update.version.clone());
                }
                self.answer(ty, &update.nonce, error);
            }
        }
        self.settle();
    }

    /// Health checks of all clusters that have their endpoints are done.
    pub(crate) fn finish_warming(&mut self) {
        for (name, cluster) in &mut self.clusters {
            if cluster.fed && cluster.warming.is_some() {
                cluster.active = cluster.warming.take();
                self.refused.remove(name);
            }
        }
        self.release();
        self.settle();
    }

    /// Endpoints that did not come within `initial_fetch_timeout` are no longer waited for.
    pub(crate) fn time_out_fetches(&mut self) {
        self.clusters.values_mut().for_each(|cluster| cluster.fed = true);
        self.finish_warming();
    }

    /// Clusters that carry traffic of a route in use and are not there, not warm, or without endpoints.
    pub(crate) fn dangling(&self) -> BTreeSet<String> {
        let routes = self.listeners.values().flat_map(|listener| &listener.routes).filter_map(|r| self.routes.get(r));
        let used = routes.chain(self.listeners.values()).flat_map(|content| &content.clusters);
        let dead = |cluster: &Cluster| {
            let Some(active) = &cluster.active else { return true };
            active.endpoints.as_ref().is_some_and(|name| self.endpoints.get(name).is_some_and(|found| found.empty))
        };
        used.filter(|name| self.clusters.get(*name).is_none_or(dead)).cloned().collect()
    }

    /// What it has of a type: name to version.
    pub(crate) fn state(&self, ty: ResourceType) -> BTreeMap<String, String> {
        let versions = |map: &BTreeMap<String, Content>| {
            let wanted = self.wanted(ty);
            let wanted = |name: &String| ty == ResourceType::Listener || wanted.contains(name);
            map.iter().filter(|(name, _)| wanted(name)).map(|(n, c)| (n.clone(), c.version.clone())).collect()
        };
        match ty {
            ResourceType::Cluster => self
                .clusters
                .iter()
                .filter_map(|(name, c)| c.active.as_ref().map(|content| (name.clone(), content.version.clone())))
                .collect(),
            ResourceType::Endpoint => versions(&self.endpoints),
            ResourceType::Listener => versions(&self.listeners),
            ResourceType::Route => versions(&self.routes),
            _ => BTreeMap::new(),
        }
    }

    /// What it says it has when it comes back: clusters that are still warming too.
    fn accepted(&self, ty: ResourceType) -> BTreeMap<String, String> {
        if ty != ResourceType::Cluster {
            return self.state(ty);
        }
        let newest = |cluster: &Cluster| cluster.warming.as_ref().or(cluster.active.as_ref()).cloned();
        self.clusters.iter().filter_map(|(name, c)| Some((name.clone(), newest(c)?.version))).collect()
    }

    fn take_clusters(&mut self, update: &Update, error: Option<String>) {
        self.took_clusters = true;
        if self.variant == Variant::Sotw {
            let names: BTreeSet<&String> = update.resources.iter().map(|(name, _)| name).collect();
            self.clusters.retain(|name, _| names.contains(name));
        }
        for name in &update.removed {
            self.clusters.remove(name);
        }
        let bad = update.resources.iter().filter(|(_, content)| content.bad).map(|(name, _)| name);
        self.refused.extend(bad.filter(|name| !self.clusters.contains_key(*name)).cloned());
        for (name, content) in update.resources.iter().filter(|(_, c)| !c.bad) {
            let cluster = self.clusters.entry(name.clone()).or_default();
            let newest = cluster.warming.as_ref().or(cluster.active.as_ref());
            if newest != Some(content) {
                *cluster = Cluster {
                    active: cluster.active.take(),
                    fed: content.endpoints.is_none(),
                    warming: Some(content.clone()),
                };
            }
        }
        if error.is_none() {
            self.versions.insert(ResourceType::Cluster, update.version.clone());
        }
        self.withheld.push_back((update.nonce.clone(), update.version.clone(), error));
        self.subscribe_changes(ResourceType::Endpoint);
        self.release();
    }

    fn take(&mut self, ty: ResourceType, update: &Update) {
        if ty == ResourceType::Endpoint {
            for cluster in self.clusters.values_mut() {
                let name = cluster.warming.as_ref().and_then(|content| content.endpoints.as_ref());
                cluster.fed |= name.is_some_and(|name| update.resources.iter().any(|(fed, _)| fed == name));
            }
        }
        let map = match ty {
            ResourceType::Endpoint => &mut self.endpoints,
            ResourceType::Listener => &mut self.listeners,
            ResourceType::Route => &mut self.routes,
            _ => return,
        };
        if ty == ResourceType::Listener {
            match self.variant {
                Variant::Sotw => map.clear(),
                Variant::Delta => update.removed.iter().for_each(|name| drop(map.remove(name))),
            }
        }
        map.extend(update.resources.iter().cloned());
    }

    fn settle(&mut self) {
        if self.warms_at_once && self.clusters.values().any(|c| c.fed && c.warming.is_some()) {
            self.finish_warming();
        }
        self.subscribe_changes(ResourceType::Route);
    }

    /// Sends the withheld CDS answers once no cluster is warming: all of them in delta, the newest in SotW.
    fn release(&mut self) {
        if self.clusters.values().any(|cluster| cluster.warming.is_some()) {
            return;
        }
        let mut answers: Vec<_> = self.withheld.drain(..).collect();
        if self.variant == Variant::Sotw {
            answers.drain(..answers.len().saturating_sub(1));
        }
        for (nonce, _, error) in answers {
            self.answer(ResourceType::Cluster, &nonce, error);
        }
        if self.took_clusters && !self.subscribed.contains_key(&ResourceType::Listener) {
            self.subscribe(ResourceType::Listener);
        }
        if !self.subscribed.contains_key(&ResourceType::Cluster) {
            self.subscribe(ResourceType::Cluster);
        }
    }

    fn wanted(&self, ty: ResourceType) -> BTreeSet<String> {
        match ty {
            ResourceType::Endpoint => self
                .clusters
                .values()
                .flat_map(|c| [&c.active, &c.warming])
                .filter_map(|content| content.as_ref()?.endpoints.clone())
                .collect(),
            ResourceType::Route => self.listeners.values().flat_map(|l| l.routes.clone()).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// The first request of a type on this stream.
    fn subscribe(&mut self, ty: ResourceType) {
        let names = self.wanted(ty);
        let body = match self.variant {
            Variant::Sotw => RequestBody::Sotw {
                version: self.versions.get(&ty).cloned().unwrap_or_default(),
                names: names.iter().cloned().collect(),
            },
            Variant::Delta => RequestBody::Delta {
                subscribe: names.iter().cloned().collect(),
                unsubscribe: Vec::new(),
                initial: self.accepted(ty),
            },
        };
        self.subscribed.insert(ty, names);
        self.requests.push_back(Request { ty, nonce: String::new(), error: None, body });
    }

    /// A request because the names it wants have changed.
    fn subscribe_changes(&mut self, ty: ResourceType) {
        let names = self.wanted(ty);
        let Some(before) = self.subscribed.get(&ty) else {
            if !names.is_empty() {
                self.subscribe(ty);
            }
            return;
        };
        if *before == names {
            return;
        }
        let (before, after) = (before.clone(), names.clone());
        self.subscribed.insert(ty, names);
        let gone: Vec<String> = before.difference(&after).cloned().collect();
        if ty == ResourceType::Endpoint {
            self.endpoints.retain(|name, _| !gone.contains(name));
        } else {
            self.routes.retain(|name, _| !gone.contains(name));
        }
        let body = match self.variant {
            Variant::Sotw => self.sotw_body(ty),
            Variant::Delta => RequestBody::Delta {
                subscribe: after.difference(&before).cloned().collect(),
                unsubscribe: gone,
                initial: BTreeMap::new(),
            },
        };
        let nonce = match self.variant {
            Variant::Sotw => self.nonces.get(&ty).cloned().unwrap_or_default(),
            Variant::Delta => String::new(),
        };
        self.requests.push_back(Request { ty, nonce, error: None, body });
    }

    fn answer(&mut self, ty: ResourceType, nonce: &str, error: Option<String>) {
        let body = match self.variant {
            // It has told before it answers when it wants others.
            Variant::Sotw => {
                RequestBody::SotwSameNames { version: self.versions.get(&ty).cloned().unwrap_or_default() }
            }
            Variant::Delta => {
                RequestBody::Delta { subscribe: Vec::new(), unsubscribe: Vec::new(), initial: BTreeMap::new() }
            }
        };
        self.requests.push_back(Request { ty, nonce: nonce.to_owned(), error, body });
    }

    fn sotw_body(&self, ty: ResourceType) -> RequestBody {
        RequestBody::Sotw {
            version: self.versions.get(&ty).cloned().unwrap_or_default(),
            names: self.subscribed.get(&ty).into_iter().flatten().cloned().collect(),
        }
    }
}
