//! Who each route is for: one table, asked by the doors. A route or a method that is not in it is refused.

use crate::ca;
use axum::http::Method;
use policy::Action;

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Anybody: health, signing in, and what the sign-in page is made of.
    Anybody,
    /// Whoever proves it by what they send, which the handler verifies, or asks for something to prove it by: other programs,
    /// no browsers.
    Proved,
    /// Whoever is signed in, about themselves.
    SignedIn,
    /// Whoever may do this in at least one authority; the handler reaches the records of those and no others.
    Of(Action),
    /// Whoever may do this in the authority of the node itself: it is about the machine and its sensor.
    Here(Action),
}

use Action::{
    EnrolDevices, JudgeIncidents, ManageAuthorities, ManagePeople, Respond, SeeAssets, SeeIncidents, SeeNode,
    SeePeople, SeeRecord,
};
use Door::{Anybody, Here, Of, Proved, SignedIn};

/// Method, path as the router writes it, and who may pass.
pub const ROUTES: &[(&str, &str, Door)] = &[
    ("GET", "/healthz", Anybody),
    ("GET", "/sign-in", Anybody),
    // Whoever signed the checkpoint; the handler knows their keys.
    ("POST", crate::witness::PATH, Proved),
    ("GET", crate::ledger_files::PATH, Of(SeeRecord)),
    ("POST", "/sign-in/link", Anybody),
    ("POST", "/sign-in/password", Anybody),
    ("POST", "/sign-in/code", Anybody),
    ("POST", "/sign-in/passkey/begin", Anybody),
    ("POST", "/sign-in/passkey/finish", Anybody),
    ("GET", "/sign-in/with/{id}", Anybody),
    ("GET", "/sign-in/return/{id}", Anybody),
    // Programs that somebody lets in, by a code that the handler verifies.
    ("POST", "/api/v1/device-authorization", Proved),
    ("POST", "/api/v1/token", Proved),
    // Where they are let in by whoever is signed in.
    ("GET", crate::console::DEVICE_PATH, SignedIn),
    ("POST", crate::console::DEVICE_PATH, SignedIn),
    ("GET", "/static/{file}", Anybody),
    ("POST", "/sign-out", SignedIn),
    ("POST", "/theme", SignedIn),
    ("GET", "/account", SignedIn),
    ("GET", "/account/confirm", SignedIn),
    ("POST", "/account/passkeys/begin", SignedIn),
    ("POST", "/account/passkeys/finish", SignedIn),
    ("POST", "/account/credentials/{id}/remove", SignedIn),
    ("POST", "/account/identities/{id}/connect", SignedIn),
    ("POST", "/account/password", SignedIn),
    ("POST", "/account/password/confirm", SignedIn),
    ("POST", "/account/password/remove", SignedIn),
    ("POST", "/account/recovery", SignedIn),
    ("POST", "/account/sessions/{id}/end", SignedIn),
    ("POST", "/account/sessions/end-others", SignedIn),
    // Devices, by what they show; how certificates stand.
    ("GET", "/.well-known/est/cacerts", Proved),
    ("GET", "/.well-known/est/csrattrs", Proved),
    ("POST", "/.well-known/est/simpleenroll", Proved),
    ("POST", "/.well-known/est/simplereenroll", Proved),
    ("POST", "/.well-known/est/serverkeygen", Proved),
    ("GET", "/.well-known/est/{label}/cacerts", Proved),
    ("GET", "/.well-known/est/{label}/csrattrs", Proved),
    ("POST", "/.well-known/est/{label}/simpleenroll", Proved),
    ("POST", "/.well-known/est/{label}/simplereenroll", Proved),
    ("POST", "/.well-known/est/{label}/serverkeygen", Proved),
    ("POST", wire::REPORTS, Proved),
    ("GET", wire::SETTINGS, Proved),
    ("POST", wire::NOTICES, Proved),
    ("POST", wire::ORDERS, Proved),
    ("GET", ca::LIST, Anybody),
    ("GET", ca::CERTIFICATE, Anybody),
    ("GET", ca::OCSP_GET, Anybody),
    ("POST", ca::OCSP, Proved),
    // The console.
    ("GET", "/", Of(SeeIncidents)),
    ("GET", "/live", Of(SeeIncidents)),
    ("GET", "/incidents", Of(SeeIncidents)),
    ("GET", "/incidents/{id}", Of(SeeIncidents)),
    ("GET", "/incidents/{id}/report.html", Of(SeeIncidents)),
    ("POST", "/incidents/{id}/close", Of(JudgeIncidents)),
    ("POST", "/incidents/{id}/reopen", Of(JudgeIncidents)),
    ("POST", "/plans/{id}/approve", Of(Respond)),
    ("POST", "/plans/{id}/refuse", Of(Respond)),
    ("POST", "/commands/{id}/undo", Of(Respond)),
    ("POST", "/commands/undo-all", Here(Respond)),
    ("POST", "/exceptions/{id}/revoke", Of(JudgeIncidents)),
    ("POST", "/responding/stop", Here(Respond)),
    ("POST", "/responding/resume", Here(Respond)),
    ("GET", "/assets", Of(SeeAssets)),
    ("GET", "/assets/at/{address}", Of(SeeAssets)),
    ("GET", "/assets/list", Of(EnrolDevices)),
    ("POST", "/assets/list", Of(EnrolDevices)),
    ("POST", "/assets/declare", Of(EnrolDevices)),
    ("GET", "/assets/{id}", Of(SeeAssets)),
    ("POST", "/assets/{id}/unlist", Of(EnrolDevices)),
    ("POST", "/assets/{id}/join", Of(EnrolDevices)),
    ("POST", "/assets/{id}/part", Of(EnrolDevices)),
    ("POST", "/assets/{id}/{deed}", Of(Respond)),
    ("GET", "/enrolment", Of(EnrolDevices)),
    ("POST", "/enrolment/tokens", Of(EnrolDevices)),
    ("POST", "/enrolment/tokens/{id}/revoke", Of(EnrolDevices)),
    ("POST", "/enrolment/waiting/{id}/{deed}", Of(EnrolDevices)),
    ("POST", "/enrolment/makers", Of(EnrolDevices)),
    ("POST", "/enrolment/makers/{id}/remove", Of(EnrolDevices)),
    ("GET", "/certificates", Of(SeeAssets)),
    ("GET", "/journal", Of(SeeRecord)),
    ("GET", "/settings", Here(SeeNode)),
    ("GET", "/people", Of(SeePeople)),
    ("POST", "/people", Of(ManagePeople)),
    ("GET", "/people/{id}", Of(SeePeople)),
    ("POST", "/people/{id}/{deed}", Of(ManagePeople)),
    ("GET", "/authorities", Of(SeePeople)),
    ("POST", "/authorities", Of(ManageAuthorities)),
    ("POST", "/authorities/{id}/rename", Of(ManageAuthorities)),
    ("GET", "/authorities/{id}/identity-provider", Of(ManagePeople)),
    ("POST", "/authorities/{id}/identity-provider", Of(ManagePeople)),
    ("POST", "/authorities/{id}/identity-provider/remove", Of(ManagePeople)),
    // Whose tokens these are is looked at there: one's own are one's own.
    ("GET", "/tokens", SignedIn),
    ("POST", "/tokens", SignedIn),
    ("POST", "/tokens/{id}/revoke", SignedIn),
    // The API.
    ("GET", "/api/v1/incidents", Of(SeeIncidents)),
    ("GET", "/api/v1/incidents/{id}", Of(SeeIncidents)),
    ("POST", "/api/v1/incidents/{id}/close", Of(JudgeIncidents)),
    ("POST", "/api/v1/incidents/{id}/reopen", Of(JudgeIncidents)),
    ("GET", "/api/v1/exceptions", Of(SeeIncidents)),
    ("DELETE", "/api/v1/exceptions/{id}", Of(JudgeIncidents)),
    ("GET", "/api/v1/plans", Of(SeeIncidents)),
    ("GET", "/api/v1/plans/{id}", Of(SeeIncidents)),
    ("POST", "/api/v1/plans/{id}/approve", Of(Respond)),
    ("POST", "/api/v1/plans/{id}/refuse", Of(Respond)),
    ("GET", "/api/v1/commands", Of(SeeIncidents)),
    ("GET", "/api/v1/commands/{id}", Of(SeeIncidents)),
    ("POST", "/api/v1/commands/{id}/undo", Of(Respond)),
    ("POST", "/api/v1/commands/undo-all", Here(Respond)),
    ("GET", "/api/v1/responding", Here(SeeNode)),
    ("POST", "/api/v1/responding", Here(Respond)),
    ("GET", "/api/v1/journal", Of(SeeRecord)),
    ("GET", "/api/v1/decisions", Of(SeeRecord)),
    ("GET", "/api/v1/assets", Of(SeeAssets)),
    ("POST", "/api/v1/assets", Of(EnrolDevices)),
    ("PATCH", "/api/v1/assets", Of(EnrolDevices)),
    ("GET", "/api/v1/assets/{id}", Of(SeeAssets)),
    ("DELETE", "/api/v1/assets/{id}", Of(EnrolDevices)),
    ("GET", "/api/v1/assets/{id}/sources", Of(SeeAssets)),
    ("POST", "/api/v1/assets/{id}/join", Of(EnrolDevices)),
    ("POST", "/api/v1/assets/{id}/part", Of(EnrolDevices)),
    ("POST", "/api/v1/assets/{id}/{deed}", Of(Respond)),
    ("GET", "/api/v1/assets/{id}/posture", Of(SeeAssets)),
    ("GET", "/api/v1/assets/{id}/sbom", Of(SeeAssets)),
    ("GET", "/api/v1/certificates", Of(SeeAssets)),
    ("GET", "/api/v1/certificates/{fingerprint}", Of(SeeAssets)),
    ("POST", "/api/v1/certificates/{fingerprint}/{deed}", Of(Respond)),
    ("GET", "/api/v1/certificate-authorities", Of(SeeAssets)),
    ("POST", "/api/v1/certificate-authorities/request", Here(ManageAuthorities)),
    ("POST", "/api/v1/certificate-authorities/import", Here(ManageAuthorities)),
    ("POST", "/api/v1/certificate-authorities/{id}/{deed}", Here(ManageAuthorities)),
    ("GET", "/api/v1/enrolment-tokens", Of(EnrolDevices)),
    ("POST", "/api/v1/enrolment-tokens", Of(EnrolDevices)),
    ("DELETE", "/api/v1/enrolment-tokens/{id}", Of(EnrolDevices)),
    ("GET", "/api/v1/enrolments", Of(EnrolDevices)),
    ("POST", "/api/v1/enrolments/{id}/approve", Of(EnrolDevices)),
    ("POST", "/api/v1/enrolments/{id}/refuse", Of(EnrolDevices)),
    ("GET", "/api/v1/makers", Of(EnrolDevices)),
    ("POST", "/api/v1/makers", Of(EnrolDevices)),
    ("DELETE", "/api/v1/makers/{id}", Of(EnrolDevices)),
    ("GET", "/api/v1/people", Of(SeePeople)),
    ("POST", "/api/v1/people", Of(ManagePeople)),
    ("GET", "/api/v1/people/{id}", Of(SeePeople)),
    ("PATCH", "/api/v1/people/{id}", Of(ManagePeople)),
    ("DELETE", "/api/v1/people/{id}", Of(ManagePeople)),
    ("POST", "/api/v1/people/{id}/link", Of(ManagePeople)),
    ("DELETE", "/api/v1/people/{id}/sessions", Of(ManagePeople)),
    ("POST", "/api/v1/people/{id}/roles", Of(ManagePeople)),
    ("DELETE", "/api/v1/people/{id}/roles/{place}/{role}", Of(ManagePeople)),
    ("GET", "/api/v1/authorities", Of(SeePeople)),
    ("POST", "/api/v1/authorities", Of(ManageAuthorities)),
    ("PATCH", "/api/v1/authorities/{id}", Of(ManageAuthorities)),
    ("GET", "/api/v1/authorities/{id}/identity-provider", Of(ManagePeople)),
    ("PUT", "/api/v1/authorities/{id}/identity-provider", Of(ManagePeople)),
    ("DELETE", "/api/v1/authorities/{id}/identity-provider", Of(ManagePeople)),
    ("GET", "/api/v1/tokens", SignedIn),
    ("POST", "/api/v1/tokens", SignedIn),
    ("DELETE", "/api/v1/tokens/{id}", SignedIn),
    ("GET", "/api/v1/settings", Here(SeeNode)),
    ("GET", "/api/v1/stats", Here(SeeNode)),
    ("GET", "/api/v1/stream", Here(SeeIncidents)),
    ("GET", "/api/v1/me", SignedIn),
    ("GET", "/api/v1/openapi.json", SignedIn),
    ("GET", "/metrics", Here(SeeNode)),
];

/// Those that read a body. Another route is sent none.
const WITH_BODY: &[(&str, &str)] = &[
    ("POST", crate::witness::PATH),
    ("POST", "/.well-known/est/simpleenroll"),
    ("POST", "/.well-known/est/simplereenroll"),
    ("POST", "/.well-known/est/serverkeygen"),
    ("POST", "/.well-known/est/{label}/simpleenroll"),
    ("POST", "/.well-known/est/{label}/simplereenroll"),
    ("POST", "/.well-known/est/{label}/serverkeygen"),
    ("POST", ca::OCSP),
    ("POST", wire::REPORTS),
    ("POST", wire::NOTICES),
    ("POST", wire::ORDERS),
    ("POST", "/sign-in/link"),
    ("POST", "/sign-in/password"),
    ("POST", "/sign-in/code"),
    ("POST", "/sign-in/passkey/finish"),
    ("POST", "/api/v1/device-authorization"),
    ("POST", "/api/v1/token"),
    ("POST", crate::console::DEVICE_PATH),
    ("POST", "/theme"),
    ("POST", "/account/passkeys/finish"),
    ("POST", "/account/credentials/{id}/remove"),
    ("POST", "/account/password"),
    ("POST", "/account/password/confirm"),
    ("POST", "/account/password/remove"),
    ("POST", "/incidents/{id}/close"),
    ("POST", "/commands/{id}/undo"),
    ("POST", "/assets/list"),
    ("POST", "/assets/declare"),
    ("POST", "/assets/{id}/join"),
    ("POST", "/assets/{id}/part"),
    ("POST", "/assets/{id}/{deed}"),
    ("POST", "/enrolment/tokens"),
    ("POST", "/enrolment/makers"),
    ("POST", "/people"),
    ("POST", "/people/{id}/{deed}"),
    ("POST", "/authorities"),
    ("POST", "/authorities/{id}/rename"),
    ("POST", "/authorities/{id}/identity-provider"),
    ("POST", "/tokens"),
    ("POST", "/api/v1/incidents/{id}/close"),
    ("POST", "/api/v1/responding"),
    ("POST", "/api/v1/assets"),
    ("PATCH", "/api/v1/assets"),
    ("POST", "/api/v1/assets/{id}/join"),
    ("POST", "/api/v1/assets/{id}/part"),
    ("POST", "/api/v1/assets/{id}/{deed}"),
    ("POST", "/api/v1/certificates/{fingerprint}/{deed}"),
    ("POST", "/api/v1/certificate-authorities/request"),
    ("POST", "/api/v1/certificate-authorities/import"),
    ("POST", "/api/v1/certificate-authorities/{id}/{deed}"),
    ("POST", "/api/v1/enrolment-tokens"),
    ("POST", "/api/v1/makers"),
    ("POST", "/api/v1/people"),
    ("PATCH", "/api/v1/people/{id}"),
    ("POST", "/api/v1/people/{id}/roles"),
    ("POST", "/api/v1/authorities"),
    ("PATCH", "/api/v1/authorities/{id}"),
    ("PUT", "/api/v1/authorities/{id}/identity-provider"),
    ("POST", "/api/v1/tokens"),
];

/// Those that read parameters of the address beside `authority`, and themselves refuse what they do not know.
const WITH_PARAMETERS: &[(&str, &str)] = &[
    ("GET", crate::console::DEVICE_PATH),
    ("GET", "/account"),
    ("GET", "/incidents"),
    ("GET", "/assets"),
    ("GET", "/certificates"),
    ("GET", "/journal"),
    ("GET", "/people"),
    ("GET", "/authorities"),
    ("GET", "/api/v1/incidents"),
    ("GET", "/api/v1/plans"),
    ("GET", "/api/v1/journal"),
    ("GET", "/api/v1/decisions"),
    ("GET", "/api/v1/assets"),
    ("POST", "/api/v1/assets"),
    ("GET", "/api/v1/certificates"),
    ("GET", "/api/v1/enrolment-tokens"),
    ("GET", "/api/v1/enrolments"),
    ("GET", "/api/v1/people"),
    ("GET", "/api/v1/authorities"),
];

/// Whether a body is read there.
#[must_use]
pub fn reads_body(method: &Method, path: &str) -> bool {
    WITH_BODY.contains(&(method.as_str(), path))
}

/// Whether parameters are read there.
pub(crate) fn reads_parameters(method: &Method, path: &str) -> bool {
    WITH_PARAMETERS.contains(&(as_get(method).as_str(), path))
}

/// Who may pass with this method at this path. HEAD is GET.
#[must_use]
pub fn door(method: &Method, path: &str) -> Option<Door> {
    let method = as_get(method);
    ROUTES
        .iter()
        .find(|(verb, route, _)| method.as_str() == *verb && path == *route)
        .map(|(_, _, door)| *door)
}

const fn as_get(method: &Method) -> &Method {
    if matches!(*method, Method::HEAD) { &Method::GET } else { method }
}
