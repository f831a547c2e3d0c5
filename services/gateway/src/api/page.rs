//! The page's files, inside the program.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

use super::Api;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, media type and content of each file.
macro_rules! files {
    ($($path:literal $file:literal $media_type:ident),* $(,)?) => {
        [$(($path, $media_type, include_str!(concat!("../../page/", $file)))),*]
    };
}

const FILES: [(&str, &str, &str); 14] = files![
    "/" "index.html" HTML,
    "/style.css" "style.css" CSS,
    "/icon.svg" "icon.svg" SVG,
    "/main.js" "main.js" SCRIPT,
    "/dom.js" "dom.js" SCRIPT,
    "/words.js" "words.js" SCRIPT,
    "/store.js" "store.js" SCRIPT,
    "/theme.js" "theme.js" SCRIPT,
    "/fleet.js" "fleet.js" SCRIPT,
    "/device.js" "device.js" SCRIPT,
    "/stage.js" "stage.js" SCRIPT,
    "/timeline.js" "timeline.js" SCRIPT,
    "/spark.js" "spark.js" SCRIPT,
    "/hand.js" "hand.js" SCRIPT,
];

/// A route for each file.
pub(super) fn routes() -> Router<Api> {
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, content)| {
        router.route(path, get(async move || serve(media_type, content)))
    })
}

fn serve(media_type: &'static str, content: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], content)
}
