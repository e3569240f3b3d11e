//! Envoy's client status service: the fleet's state in the words every xDS tool knows.
//!
//! Answers from [`FleetView`] alone. It has one entry per node and type, not per resource, because that is how the
//! protocol acknowledges; see `envoy/service/status/v3/csds.proto`.

use std::pin::Pin;

use envoy_types::pb::envoy::admin::v3::{ClientResourceStatus, UpdateFailureState};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_server as csds;
use envoy_types::pb::envoy::service::status::v3::{
    ClientConfig, ClientStatusRequest, ClientStatusResponse, ConfigStatus,
};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{NodeMatcher, StringMatcher};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::report::ask;
use super::stop::Stop;
use crate::fleet::{self, FleetView, Message, NodeView, TypeView};
use crate::xds::ResourceType;

/// Full name of the service.
pub(super) const NAME: &str = csds::SERVICE_NAME;

/// The service.
pub(super) struct ClientStatus {
    /// To the task that owns the fleet.
    pub(super) fleet: mpsc::Sender<Message>,
    /// The end of the server.
    pub(super) stop: Stop,
}

impl ClientStatus {
    /// Adds the service to the routes.
    pub(super) fn register(self, routes: &mut tonic::service::RoutesBuilder) {
        routes.add_service(csds::ClientStatusDiscoveryServiceServer::new(self));
    }
}

#[tonic::async_trait]
impl csds::ClientStatusDiscoveryService for ClientStatus {
    type StreamClientStatusStream = Pin<Box<dyn Stream<Item = Result<ClientStatusResponse, Status>> + Send>>;

    async fn stream_client_status(
        &self,
        request: Request<Streaming<ClientStatusRequest>>,
    ) -> Result<Response<Self::StreamClientStatusStream>, Status> {
        let fleet = self.fleet.clone();
        let mut stop = self.stop.clone();
        let answers = request.into_inner().then(move |request| {
            let fleet = fleet.clone();
            async move { answer(&fleet, &request?).await }
        });
        let shutdown = async move { stop.wait().await };
        Ok(Response::new(Box::pin(answers.take_until(shutdown))))
    }

    async fn fetch_client_status(
        &self,
        request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        answer(&self.fleet, request.get_ref()).await.map(Response::new)
    }
}

async fn answer(fleet: &mpsc::Sender<Message>, request: &ClientStatusRequest) -> Result<ClientStatusResponse, Status> {
    let view: FleetView = ask(fleet, Message::View).await?;
    let wanted = |node: &&NodeView| {
        request.node_matchers.is_empty() || request.node_matchers.iter().any(|matcher| matches(matcher, &node.id))
    };
    Ok(ClientStatusResponse { config: view.nodes.iter().filter(wanted).map(client).collect() })
}

fn client(node: &NodeView) -> ClientConfig {
    ClientConfig {
        node: Some(Node { id: node.id.clone(), cluster: node.cluster.clone(), ..Default::default() }),
        generic_xds_configs: node.types.iter().map(config).collect(),
        ..Default::default()
    }
}

fn config(view: &TypeView) -> GenericXdsConfig {
    let (config_status, client_status) = match view.status {
        fleet::Status::Synced => (ConfigStatus::Synced, ClientResourceStatus::Acked),
        fleet::Status::Stale => (ConfigStatus::Stale, ClientResourceStatus::Unknown),
        fleet::Status::Nack => (ConfigStatus::Error, ClientResourceStatus::Nacked),
        fleet::Status::NotSent => (ConfigStatus::NotSent, ClientResourceStatus::Requested),
    };
    let ty = ResourceType::ALL.into_iter().find(|ty| ty.short_name() == view.ty);
    GenericXdsConfig {
        type_url: ty.map_or_else(|| view.ty.to_owned(), ResourceType::type_url),
        version_info: view.version.clone().unwrap_or_default(),
        config_status: config_status.into(),
        client_status: client_status.into(),
        error_state: view
            .error
            .as_ref()
            .map(|error| UpdateFailureState { details: error.clone(), ..Default::default() }),
        ..Default::default()
    }
}

/// Whether the matcher takes the node. Conditions on metadata, and patterns that are not plain text, are not evaluated
/// and take every node: the answer may say too much, never too little.
fn matches(matcher: &NodeMatcher, id: &str) -> bool {
    let Some(StringMatcher { ignore_case, match_pattern: Some(pattern) }) = &matcher.node_id else { return true };
    let fold = |text: &str| if *ignore_case { text.to_lowercase() } else { text.to_owned() };
    let id = fold(id);
    match pattern {
        MatchPattern::Exact(text) => id == fold(text),
        MatchPattern::Prefix(text) => id.starts_with(&fold(text)),
        MatchPattern::Suffix(text) => id.ends_with(&fold(text)),
        MatchPattern::Contains(text) => id.contains(&fold(text)),
        MatchPattern::SafeRegex(_) | MatchPattern::Custom(_) => true,
    }
}
