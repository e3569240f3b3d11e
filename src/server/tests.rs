//! The server over loopback, with a real client, a recording fleet, and worlds made by hand.

mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::service::status::v3::{
    ClientStatusRequest, ConfigStatus, client_status_discovery_service_client::ClientStatusDiscoveryServiceClient,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{NodeMatcher, StringMatcher, string_matcher::MatchPattern};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::proto::envoy::service::cluster::v3::cluster_discovery_service_client::ClusterDiscoveryServiceClient;
use super::proto::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use super::proto::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Node,
};
use super::{Config, Error, Metrics, bind};
use crate::fleet::{self, FleetView, Message, NodeView, StreamEvent, TypeView};
use crate::xds::{self, Assign, Assignment, Resource, ResourceType, Snapshot, TypeSet};

/// No step of a test waits longer for the server.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the server should have answered by now")
}

/// One cluster of that name for everybody; the group is named like it.
struct Everybody(&'static str);

impl Assign for Everybody {
    fn assign(&self, _: &xds::Node) -> Assignment {
        let cluster = Arc::new(Resource::new(self.0, Bytes::copy_from_slice(self.0.as_bytes())));
        let snapshot = Snapshot::new([(ResourceType::Cluster, Arc::new(TypeSet::new([cluster])))]);
        Assignment { group: self.0.into(), snapshot: Arc::new(snapshot) }
    }

    fn earlier(&self, _: &xds::Node) -> Vec<Arc<Snapshot>> {
        Vec::new()
    }

    fn group(&self, _: &str) -> Option<Arc<Snapshot>> {
        None
    }
}

/// More than a connection takes in before its client reads, of each of three types that wait for no other.
struct Heavy;

impl Heavy {
    const TYPES: [ResourceType; 3] = [ResourceType::Secret, ResourceType::Runtime, ResourceType::Cluster];
}

impl Assign for Heavy {
    fn assign(&self, _: &xds::Node) -> Assignment {
        let set = Arc::new(TypeSet::new([Arc::new(Resource::new("heavy", Bytes::from(vec![0; 16 << 20])))]));
        let snapshot = Snapshot::new(Self::TYPES.map(|ty| (ty, Arc::clone(&set))));
        Assignment { group: "heavy".into(), snapshot: Arc::new(snapshot) }
    }

    fn earlier(&self, _: &xds::Node) -> Vec<Arc<Snapshot>> {
        Vec::new()
    }

    fn group(&self, _: &str) -> Option<Arc<Snapshot>> {
        None
    }
}

struct Fixture {
    address: SocketAddr,
    channel: Channel,
    /// Milliseconds; it stands still unless a test moves it.
    clock: Arc<AtomicU64>,
    world: watch::Sender<Option<Arc<dyn Assign>>>,
    events: mpsc::Receiver<StreamEvent>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), Error>>,
}

impl Fixture {
    /// A server that has loaded [`Everybody`]'s `blue`.
    async fn loaded() -> Self {
        let fixture = Self::empty().await;
        fixture.publish("blue");
        fixture
    }

    /// A server that has loaded nothing.
    async fn empty() -> Self {
        Self::with(|config| config).await
    }

    /// A server that has loaded nothing, with some of its configuration changed.
    async fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let (world, config_world) = watch::channel(None);
        // As small as can be, so that whoever does not wait for the fleet loses something.
        let (fleet, mut queue) = mpsc::channel(1);
        let (recorder, events) = mpsc::channel(100_000);
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                match message {
                    Message::Event(_, event) => recorder.try_send(event).unwrap(),
                    Message::View(reply) => reply(view()),
                    Message::Gauges(_) => {}
                    Message::Rejections(_, reply) => reply(Vec::new()),
                }
            }
        });
        let clock = Arc::new(AtomicU64::new(0));
        let time = Arc::clone(&clock);
        let config = Config {
            clock: Arc::new(move || Duration::from_millis(time.load(Ordering::SeqCst))),
            ..config(config_world, fleet)
        };
        let bound = bind(change(config)).await.unwrap();
        let address = bound.addr;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(bound.serve(async move { drop(stopped.await) }));
        Self { address, clock, channel: endpoint.connect().await.unwrap(), world, events, stop, server }
    }

    fn publish(&self, name: &'static str) {
        self.world.send_replace(Some(Arc::new(Everybody(name))));
    }

    async fn sotw(&self) -> Result<(mpsc::Sender<DiscoveryRequest>, Streaming<DiscoveryResponse>), Status> {
        let (requests, stream) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel.clone());
        let responses = within(client.stream_aggregated_resources(ReceiverStream::new(stream))).await?;
        Ok((requests, responses.into_inner()))
    }

    async fn delta(&self) -> (mpsc::Sender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>) {
        let (requests, stream) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel.clone())
            .max_encoding_message_size(usize::MAX)
            .max_decoding_message_size(usize::MAX);
        let responses = within(client.delta_aggregated_resources(ReceiverStream::new(stream))).await.unwrap();
        (requests, responses.into_inner())
    }

    async fn clusters(&self) -> (mpsc::Sender<DiscoveryRequest>, Streaming<DiscoveryResponse>) {
        let (requests, stream) = mpsc::channel(16);
        let mut client = ClusterDiscoveryServiceClient::new(self.channel.clone());
        let responses = within(client.stream_clusters(ReceiverStream::new(stream))).await.unwrap();
        (requests, responses.into_inner())
    }

    /// The group of the next `Opened`.
    async fn opened(&mut self) -> String {
        loop {
            if let StreamEvent::Opened { node, user_agent, peer, group, .. } = within(self.events.recv()).await.unwrap()
            {
                assert_eq!((&*node, &*user_agent), ("edge-1", "envoy 1.40.0"));
                assert!(peer.starts_with("127.0.0.1:"), "{peer}");
                return group;
            }
        }
    }

    /// The reason of the next `Closed`.
    async fn closed(&mut self) -> String {
        loop {
            if let StreamEvent::Closed { reason } = within(self.events.recv()).await.unwrap() {
                return reason;
            }
        }
    }
}

fn config(world: super::World, fleet: mpsc::Sender<Message>) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        instance: "serin-test".to_owned(),
        ack_timeout: Duration::from_secs(20),
        ordered: true,
        max_connection_age: None,
        world,
        fleet,
        reports: mpsc::channel(1).0,
        counted: watch::channel(Arc::default()).1,
        load_report_interval: Duration::from_secs(5),
        bootstrap_clusters: Arc::default(),
        metrics: Metrics::default(),
        clock: Arc::new(|| Duration::ZERO),
    }
}

fn view() -> FleetView {
    let ty = |ty, status, error: Option<&str>| TypeView {
        ty,
        status,
        version: Some("0123456789abcdef".to_owned()),
        nonce: Some(1),
        since: Duration::ZERO,
        error: error.map(str::to_owned),
        resources: Vec::new(),
    };
    let node = |id: &str, types| NodeView {
        id: id.to_owned(),
        cluster: "edge".to_owned(),
        group: "all".to_owned(),
        user_agent: "envoy".to_owned(),
        peer: String::new(),
        variant: "delta",
        connected: true,
        since: Duration::ZERO,
        reason: None,
        types,
    };
    FleetView {
        nodes: vec![
            node("edge-1", vec![ty("CDS", fleet::Status::Synced, None), ty("RDS", fleet::Status::Stale, None)]),
            node(
                "edge-2",
                vec![ty("LDS", fleet::Status::Nack, Some("bad filter")), ty("EDS", fleet::Status::NotSent, None)],
            ),
        ],
    }
}

fn node() -> Node {
    Node {
        id: "edge-1".to_owned(),
        user_agent_name: "envoy".to_owned(),
        user_agent_version: "1.40.0".to_owned(),
        ..Default::default()
    }
}

fn ask(type_url: impl Into<String>) -> DiscoveryRequest {
    DiscoveryRequest { node: Some(node()), type_url: type_url.into(), ..Default::default() }
}

/// How a stream ends that should send nothing before.
async fn end<T: std::fmt::Debug>(responses: &mut Streaming<T>) -> Status {
    within(responses.message()).await.expect_err("a stream that ends with a status")
}

#[tokio::test]
async fn a_stream_without_a_node_is_refused() {
    let fixture = Fixture::loaded().await;
    for (node, words) in [
        (None, "the first message of a stream needs a node"),
        (Some(Node::default()), "the first message of a stream needs a node with an id"),
    ] {
        let (requests, mut responses) = fixture.sotw().await.unwrap();
        requests.send(DiscoveryRequest { node, ..ask(ResourceType::Cluster.type_url()) }).await.unwrap();
        let status = end(&mut responses).await;
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, words));
    }
}

#[tokio::test]
async fn an_aggregated_stream_needs_a_type() {
    let mut fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask("")).await.unwrap();
    let status = end(&mut responses).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fixture.closed().await, status.message());
}

#[tokio::test]
async fn nothing_is_served_before_the_first_load() {
    let fixture = Fixture::empty().await;
    let status = fixture.sotw().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "no configuration has been loaded yet"));
    fixture.publish("blue");
    fixture.sotw().await.unwrap();
}

#[tokio::test]
async fn a_stream_for_one_type_takes_that_type_and_no_other() {
    let mut fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.clusters().await;
    requests.send(ask("")).await.unwrap();
    let response = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(response.type_url, ResourceType::Cluster.type_url());
    requests.send(ask(ResourceType::Listener.type_url())).await.unwrap();
    let status = end(&mut responses).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fixture.closed().await, status.message());
}

#[tokio::test]
async fn an_unknown_type_is_not_answered_and_harms_nothing() {
    let fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask("type.googleapis.com/example.Unheard")).await.unwrap();
    requests.send(DiscoveryRequest { node: None, ..ask(ResourceType::Cluster.type_url()) }).await.unwrap();
    let response = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(response.type_url, ResourceType::Cluster.type_url());
}

#[tokio::test]
async fn a_response_names_this_instance_and_its_resources() {
    let fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask(ResourceType::Cluster.type_url())).await.unwrap();
    let response = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(response.control_plane.unwrap().identifier, "serin-test");
    assert_eq!(&*response.resources[0].value, b"blue");
    assert!(response.nonce.parse::<u64>().is_ok(), "{}", response.nonce);
}

#[tokio::test]
async fn a_new_world_reaches_a_stream_and_a_new_group_the_fleet() {
    let mut fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask(ResourceType::Cluster.type_url())).await.unwrap();
    let blue = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(fixture.opened().await, "blue");
    fixture.publish("green");
    assert_eq!(fixture.opened().await, "green");
    let ack = DiscoveryRequest {
        node: None,
        version_info: blue.version_info,
        response_nonce: blue.nonce,
        ..ask(blue.type_url)
    };
    requests.send(ack).await.unwrap();
    let green = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(&*green.resources[0].value, b"green");
}

#[tokio::test]
async fn a_world_that_is_taken_away_leaves_streams_as_they_are() {
    let mut fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask("type.googleapis.com/example.Unheard")).await.unwrap();
    fixture.opened().await;
    fixture.world.send_replace(None);
    requests.send(ask(ResourceType::Cluster.type_url())).await.unwrap();
    assert_eq!(&*within(responses.message()).await.unwrap().unwrap().resources[0].value, b"blue");
}

#[tokio::test]
async fn a_client_that_leaves_is_reported() {
    let mut fixture = Fixture::loaded().await;
    let (requests, responses) = fixture.sotw().await.unwrap();
    requests.send(ask(ResourceType::Cluster.type_url())).await.unwrap();
    assert_eq!(fixture.opened().await, "blue");
    drop(responses);
    drop(requests);
    let reason = fixture.closed().await;
    assert!(reason.starts_with("the client "), "{reason}");
}

#[tokio::test]
async fn requests_are_read_while_the_client_does_not_read() {
    let mut fixture = Fixture::loaded().await;
    fixture.world.send_replace(Some(Arc::new(Heavy)));
    let (requests, responses) = fixture.sotw().await.unwrap();
    for ty in Heavy::TYPES {
        requests
            .send(DiscoveryRequest { resource_names: vec!["heavy".to_owned()], ..ask(ty.type_url()) })
            .await
            .unwrap();
    }
    let mut sent = 0;
    while sent < 2 {
        // The first fills the connection, the second the room behind it.
        let event = within(fixture.events.recv()).await.unwrap();
        sent += usize::from(matches!(event, StreamEvent::Session(xds::Event::Sent { .. })));
    }
    for _ in 0..5_000 {
        let stale = DiscoveryRequest { response_nonce: "0".to_owned(), ..ask(ResourceType::Cluster.type_url()) };
        within(requests.send(stale)).await.unwrap();
    }
    // The stream is alive and has read them all when it judges the last one.
    requests.send(ask("")).await.unwrap();
    assert_eq!(fixture.closed().await, "a request on an aggregated stream needs a type_url");
    drop(responses);
}

/// One HTTP/2 frame.
fn http2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A client that asks and never reads from its socket.
async fn ask_and_never_read(address: SocketAddr, request: &DiscoveryRequest) -> TcpStream {
    let literal = |name: &[u8], value: &str| [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    let path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
    // POST and http of HPACK's static table, then its :authority, :path and content-type with values of their own.
    let authority = literal(&[0x01], "serin");
    let headers = [&[0x83, 0x86][..], &authority, &literal(&[0x04], path), &literal(&[0x0f, 0x10], "application/grpc")];
    let message = prost::Message::encode_to_vec(request);
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        http2(4, 0, 0, &[]),
        http2(1, 0x4, 1, &headers.concat()),
        http2(0, 0, 1, &[&[0][..], &length, &message].concat()),
    ];
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&said.concat()).await.unwrap();
    socket
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_ended_with_a_reason_and_slows_nobody() {
    let mut fixture = Fixture::loaded().await;
    fixture.world.send_replace(Some(Arc::new(Heavy)));
    let stalled = ask_and_never_read(fixture.address, &ask(ResourceType::Cluster.type_url())).await;
    assert_eq!(fixture.opened().await, "heavy");
    while !matches!(within(fixture.events.recv()).await, Some(StreamEvent::Session(xds::Event::Sent { .. }))) {}

    fixture.publish("blue");
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask(ResourceType::Cluster.type_url())).await.unwrap();
    let mut reason = None;
    for name in ["green", "blue"].into_iter().cycle() {
        let response = within(responses.message()).await.unwrap().unwrap();
        let DiscoveryResponse { version_info, nonce: response_nonce, type_url, .. } = response;
        let ack = DiscoveryRequest { node: None, version_info, response_nonce, ..ask(type_url) };
        requests.send(ack).await.unwrap();
        while let Ok(event) = fixture.events.try_recv() {
            if let StreamEvent::Closed { reason: why } = event {
                reason = Some(why);
            }
        }
        if reason.is_some() {
            break;
        }
        // Again and again, because the first part of what it was sent may still be on its way into the socket.
        fixture.clock.fetch_add(30_000, Ordering::SeqCst);
        fixture.publish(name);
    }
    assert_eq!(reason.unwrap(), "the client took nothing of what it was sent for 30 s");
    drop(stalled);
}

#[tokio::test]
async fn an_old_connection_ends_and_its_client_comes_back() {
    let fixture =
        Fixture::with(|config| Config { max_connection_age: Some(Duration::from_millis(50)), ..config }).await;
    fixture.publish("blue");
    for _ in 0..2 {
        let (requests, mut responses) = loop {
            // A call that meets the end of the connection is to be made again.
            if let Ok(opened) = fixture.sotw().await {
                break opened;
            }
        };
        drop(requests.send(ask("type.googleapis.com/example.Unheard")).await);
        let status = end(&mut responses).await;
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[tokio::test]
async fn a_reconnecting_delta_client_may_hold_more_than_four_megabytes() {
    let fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.delta().await;
    let held = (0..60_000).map(|i| (format!("{i:0>80}"), "0123456789abcdef".to_owned())).collect();
    let request = DeltaDiscoveryRequest {
        node: Some(node()),
        type_url: ResourceType::Cluster.type_url(),
        initial_resource_versions: held,
        ..Default::default()
    };
    assert!(prost::Message::encoded_len(&request) > 4 << 20);
    requests.send(request).await.unwrap();
    let response = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(&*response.resources[0].name, "blue");
}

#[tokio::test]
async fn a_session_is_polled_again_at_its_deadline() {
    let fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.delta().await;
    let request = DeltaDiscoveryRequest {
        node: Some(node()),
        type_url: ResourceType::Cluster.type_url(),
        initial_resource_versions: [("gone".to_owned(), "0123456789abcdef".to_owned())].into(),
        ..Default::default()
    };
    requests.send(request).await.unwrap();
    let blue = within(responses.message()).await.unwrap().unwrap();
    assert!(blue.removed_resources.is_empty());
    // The session removes nothing in the first two seconds. So close to them, what the client does wakes the task for
    // the last time, and the rest is up to the deadline.
    fixture.clock.store(1_990, Ordering::SeqCst);
    let type_url = ResourceType::Cluster.type_url();
    requests.send(DeltaDiscoveryRequest { type_url, response_nonce: blue.nonce, ..Default::default() }).await.unwrap();
    fixture.clock.store(2_000, Ordering::SeqCst);
    assert_eq!(within(responses.message()).await.unwrap().unwrap().removed_resources, ["gone"]);
}

#[tokio::test]
async fn too_many_names_end_the_stream() {
    let fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.delta().await;
    let request = DeltaDiscoveryRequest {
        node: Some(node()),
        type_url: ResourceType::Endpoint.type_url(),
        resource_names_subscribe: (0..100_001).map(|i| i.to_string()).collect(),
        ..Default::default()
    };
    requests.send(request).await.unwrap();
    assert_eq!(end(&mut responses).await.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn shutdown_ends_streams_and_the_server() {
    let mut fixture = Fixture::loaded().await;
    let (requests, mut responses) = fixture.sotw().await.unwrap();
    requests.send(ask("type.googleapis.com/example.Unheard")).await.unwrap();
    fixture.opened().await;
    let request = HealthCheckRequest { service: String::new() };
    let mut health = HealthClient::new(fixture.channel.clone()).watch(request).await.unwrap().into_inner();
    fixture.stop.send(()).unwrap();
    let status = end(&mut responses).await;
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "server is shutting down"));
    while within(health.message()).await.unwrap().is_some() {}
    within(fixture.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn health_follows_the_first_load() {
    let fixture = Fixture::empty().await;
    let mut client = HealthClient::new(fixture.channel.clone());
    for service in ["", "envoy.service.discovery.v3.AggregatedDiscoveryService"] {
        fixture.world.send_replace(None);
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut health = within(client.watch(request)).await.unwrap().into_inner();
        let mut next = async || within(health.message()).await.unwrap().unwrap().status();
        while next().await != ServingStatus::NotServing {}
        fixture.publish("blue");
        assert_eq!(next().await, ServingStatus::Serving);
    }
}

#[tokio::test]
async fn client_status_speaks_for_the_fleet() {
    let fixture = Fixture::loaded().await;
    let mut client = ClientStatusDiscoveryServiceClient::new(fixture.channel.clone());
    let all = within(client.fetch_client_status(ClientStatusRequest::default())).await.unwrap().into_inner();
    let seen: Vec<_> = all
        .config
        .iter()
        .flat_map(|client| client.generic_xds_configs.iter().map(|config| (client.node.as_ref().unwrap(), config)))
        .map(|(node, config)| (&*node.id, config.type_url.rsplit('.').next().unwrap(), config.config_status()))
        .collect();
    assert_eq!(
        seen,
        [
            ("edge-1", "Cluster", ConfigStatus::Synced),
            ("edge-1", "RouteConfiguration", ConfigStatus::Stale),
            ("edge-2", "Listener", ConfigStatus::Error),
            ("edge-2", "ClusterLoadAssignment", ConfigStatus::NotSent),
        ]
    );
    let rejected = &all.config[1].generic_xds_configs[0];
    assert_eq!(rejected.error_state.as_ref().unwrap().details, "bad filter");
    assert_eq!(rejected.version_info, "0123456789abcdef");

    let pattern = |pattern| NodeMatcher {
        node_id: Some(StringMatcher { match_pattern: Some(pattern), ..Default::default() }),
        ..Default::default()
    };
    let request = ClientStatusRequest {
        node_matchers: vec![pattern(MatchPattern::Exact("edge-2".into())), pattern(MatchPattern::Prefix("x".into()))],
        ..Default::default()
    };
    let stream = tokio_stream::iter([request]);
    let mut answers = within(client.stream_client_status(stream)).await.unwrap().into_inner();
    let one = within(answers.message()).await.unwrap().unwrap();
    assert_eq!(one.config.iter().map(|client| &*client.node.as_ref().unwrap().id).collect::<Vec<_>>(), ["edge-2"]);
}

#[tokio::test]
async fn reflection_lists_what_is_served_and_describes_what_is_sent() {
    let fixture = Fixture::loaded().await;
    let mut client = ServerReflectionClient::new(fixture.channel.clone());
    let question = |question| ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let questions = tokio_stream::iter([
        question(MessageRequest::ListServices(String::new())),
        question(MessageRequest::FileContainingSymbol("envoy.service.discovery.v3.AggregatedDiscoveryService".into())),
        question(MessageRequest::FileContainingSymbol("envoy.service.status.v3.ClientStatusDiscoveryService".into())),
        question(MessageRequest::FileContainingSymbol("envoy.config.route.v3.RouteConfiguration".into())),
        question(MessageRequest::FileContainingSymbol("grpc.health.v1.Health".into())),
    ]);
    let mut answers = within(client.server_reflection_info(questions)).await.unwrap().into_inner();
    let mut next = async || within(answers.message()).await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = next().await else { panic!("not a list") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "envoy.service.cluster.v3.ClusterDiscoveryService",
            "envoy.service.discovery.v3.AggregatedDiscoveryService",
            "envoy.service.endpoint.v3.EndpointDiscoveryService",
            "envoy.service.listener.v3.ListenerDiscoveryService",
            "envoy.service.load_stats.v3.LoadReportingService",
            "envoy.service.metrics.v3.MetricsService",
            "envoy.service.route.v3.RouteDiscoveryService",
            "envoy.service.status.v3.ClientStatusDiscoveryService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ]
    );
    for _ in 0..4 {
        assert!(matches!(next().await, MessageResponse::FileDescriptorResponse(_)));
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let (_, world) = watch::channel(None);
    let (fleet, _) = mpsc::channel(1);
    let config = config(world, fleet);
    let held = bind(config.clone()).await.unwrap();
    assert_ne!(held.addr.port(), 0);
    let error = bind(Config { listen: held.addr, ..config }).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen for xDS on {}", held.addr));
    assert!(std::error::Error::source(&error).is_some(), "the reason is its source");
}
