//! The routes of the API with their description.

use axum::{Json, extract::State};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, DeviceList, MomentView, decisions, devices, events, live, write};
use crate::live::Shot;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Auto-Tiler gateway",
        description = "Devices as they say they are, what the controller decides for them, and what they send. \
            Read-only, but for what asks for a token. Problems are application/problem+json."
    ),
    // What streams carry, which no response names.
    components(schemas(DeviceList, MomentView, Shot)),
    tags(
        (name = "devices", description = "As they are now"),
        (name = "streams", description = "As they change"),
        (name = "changes", description = "With a token"),
    ),
    modifiers(&Token)
)]
struct Described;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Every route with its description.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(devices::list))
        .routes(routes!(devices::one))
        .routes(routes!(devices::policies))
        .routes(routes!(decisions::decisions))
        .routes(routes!(events::events))
        .routes(routes!(live::frames))
        .routes(routes!(live::image))
        .routes(routes!(write::pin, write::unpin))
        .routes(routes!(write::suspend))
        .routes(routes!(write::resume))
        .routes(routes!(described))
}

/// The description.
pub fn document() -> Document {
    routes().into_openapi()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "devices", responses((status = 200, body = Object)))]
async fn described(State(_): State<Api>) -> Json<Document> {
    Json(document())
}
