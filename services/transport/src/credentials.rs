//! What a credentials file says of its user, as far as the client must know it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::subject::pattern::inbox_prefix as own_prefix;

/// The prefix of the inboxes that the credentials `text` allow, where they do not allow all: a client that asks for
/// its answers elsewhere gets none.
pub(crate) fn inbox_prefix(text: &str) -> Option<String> {
    let token = text.lines().skip_while(|line| !line.contains("BEGIN NATS USER JWT")).nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let allowed = claims["nats"]["sub"]["allow"].as_array()?;
    let mut inboxes =
        allowed.iter().filter_map(Value::as_str).filter_map(|subject| subject.strip_suffix(".>"));
    inboxes.find(|prefix| prefix.starts_with(&own_prefix(""))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn credentials(allow: Value) -> String {
        let claims = json!({"nats": {"sub": {"allow": allow}}}).to_string();
        let token = format!("e30.{}.signature", BASE64_URL_SAFE_NO_PAD.encode(claims));
        format!("-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n")
    }

    #[test]
    fn the_inbox_that_is_allowed_is_used() {
        let own = credentials(json!(["autotiler.v1.params.cam", "_INBOX.device.cam.>"]));
        assert_eq!(inbox_prefix(&own).as_deref(), Some("_INBOX.device.cam"));
    }

    #[test]
    fn other_credentials_keep_the_usual_one() {
        for text in ["", "no credentials", &credentials(json!(["_INBOX.>", ">"])), &credentials(Value::Null)]
        {
            assert_eq!(inbox_prefix(text), None, "{text}");
        }
    }
}
