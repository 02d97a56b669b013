//! Extractors: parsing and authentication, so that a handler's body is only the decision.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::{Connection, HttpState};
use crate::live::memory::Serving;
use crate::live::sessions::Principal;
use crate::service::delivery;
use crate::service::groups::posting;
use crate::service::key_server::Publisher;
use crate::service::{ServiceError, registration};
use crate::state::App;

/// A request with a session; counts towards the participant's rate.
pub(crate) struct Authenticated(pub(crate) Principal);

/// A request with a session or a reservation.
pub(crate) struct Publishing(pub(crate) Publisher);

/// A request without a session; counts towards the address's rate.
pub(crate) struct Unauthenticated(pub(crate) Connection);

/// A request that brings a message: refused before its body is read when its sender has sent too many.
pub(crate) struct Submitting(pub(crate) Principal);

/// A request that brings what is kept for months: refused before its body is read when there was too much of it.
pub(crate) struct Storing(pub(crate) Principal);

/// As [`Storing`], with a session or a reservation.
pub(crate) struct Offering(pub(crate) Publisher);

/// A JSON body, limited in size and time.
pub(crate) struct Json<T>(pub(crate) T);

/// A small JSON body.
pub(crate) struct SmallJson<T>(pub(crate) T);

/// A JSON body that may be large, for postings to groups; few are read at once.
pub(crate) struct LargeJson<T>(pub(crate) T);

/// A JSON body of at most `LIMIT` bytes, limited in time.
pub(crate) struct LimitedJson<T, const LIMIT: usize>(pub(crate) T);

/// A request with a session or without any token; counts towards the participant's or the address's rate.
pub(crate) enum Anybody {
    /// Somebody who is logged in.
    Known(Principal),
    /// Somebody who is not.
    Unknown(Unauthenticated),
}

/// A binary body, a McEliece key, limited in size and time.
pub(crate) struct Bytes(pub(crate) bytes::Bytes);

/// Path parameters, refused as problem details.
pub(crate) struct InPath<T>(pub(crate) T);

/// Query parameters, refused as problem details.
pub(crate) struct InQuery<T>(pub(crate) T);

fn connection(parts: &Parts) -> Result<Connection, ServiceError> {
    let found = parts.extensions.get::<Connection>().cloned();
    found.ok_or_else(|| ServiceError::Internal("a request without a connection".into()))
}

pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").filter(|token| token.len() <= 128)
}

/// Refuses a token. It counts as unauthenticated work only: 256 bits cannot be guessed, and after a restart
/// every client of a school comes with a token that ended.
pub(super) fn failed(state: &HttpState, parts: &Parts, error: ServiceError) -> ApiError {
    let counted = connection(parts)
        .and_then(|connection| Ok(state.rates.unauthenticated(connection.address, state.clock.elapsed())?));
    ApiError(counted.err().unwrap_or(error))
}

impl FromRequestParts<HttpState> for Authenticated {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let now = state.clock.elapsed();
        let principal = bearer(parts).and_then(|token| state.sessions.authenticate(token, now));
        match principal {
            Some(principal) => {
                state.rates.request(principal.participant, now)?;
                connection(parts)?.serving.paid_by(principal.participant);
                Ok(Self(principal))
            }
            None => Err(failed(state, parts, ServiceError::NotLoggedIn)),
        }
    }
}

impl FromRequestParts<HttpState> for Publishing {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let now = state.clock.elapsed();
        let Some(token) = bearer(parts) else {
            return Err(failed(state, parts, ServiceError::NotLoggedIn));
        };
        if let Some(principal) = state.sessions.authenticate(token, now) {
            state.rates.request(principal.participant, now)?;
            connection(parts)?.serving.paid_by(principal.participant);
            return Ok(Self(Publisher::Participant(principal)));
        }
        state.rates.unauthenticated(connection(parts)?.address, now)?;
        match registration::reservation(state, token).await {
            Ok(reservation) => Ok(Self(Publisher::Registering(reservation))),
            Err(error) => Err(failed(state, parts, error)),
        }
    }
}

impl FromRequestParts<HttpState> for Unauthenticated {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let connection = connection(parts)?;
        state.rates.unauthenticated(connection.address, state.clock.elapsed())?;
        Ok(Self(connection))
    }
}

impl FromRequestParts<HttpState> for Anybody {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let Authenticated(principal) = Authenticated::from_request_parts(parts, state).await?;
            return Ok(Self::Known(principal));
        }
        Ok(Self::Unknown(Unauthenticated::from_request_parts(parts, state).await?))
    }
}

impl Unauthenticated {
    /// Counts a refusal that may be somebody guessing as a failure of the address, and says no more than that once they
    /// are too many. Whoever is right is let in, whatever others behind the same address do: these secrets have 60 bits
    /// and more, and the rate of requests without a session bounds the guesses.
    pub(crate) fn count<T>(&self, state: &HttpState, result: Result<T, ServiceError>) -> Result<T, ApiError> {
        if let Err(
            ServiceError::UnknownInvite
            | ServiceError::LoginRefused
            | ServiceError::KeyBackupRefused
            | ServiceError::UnknownLink,
        ) = &result
        {
            state.rates.failure(self.0.address, state.clock.elapsed())?;
        }
        Ok(result?)
    }
}

impl FromRequestParts<HttpState> for Submitting {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let Authenticated(principal) = Authenticated::from_request_parts(parts, state).await?;
        let may = state.rates.may_message(principal.participant, state.clock.elapsed());
        delivery::counted(state, may.map_err(ServiceError::from))?;
        Ok(Self(principal))
    }
}

impl FromRequestParts<HttpState> for Storing {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let Authenticated(principal) = Authenticated::from_request_parts(parts, state).await?;
        state.rates.may_publish(principal.participant, state.clock.elapsed())?;
        Ok(Self(principal))
    }
}

impl FromRequestParts<HttpState> for Offering {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let Publishing(publisher) = Publishing::from_request_parts(parts, state).await?;
        state.rates.may_publish(publisher.participant(), state.clock.elapsed())?;
        Ok(Self(publisher))
    }
}

/// Largest small body, in bytes: a signed log-in has about 2 KiB.
const SMALL_BODY_BYTES: usize = 16 * 1024;

async fn body(request: Request, state: &HttpState, limit: usize) -> Result<bytes::Bytes, ApiError> {
    Ok(limited_body(request, state, limit).await?)
}

/// A request's body: no longer than `limit` bytes and `body_seconds`.
pub(crate) async fn limited_body(
    request: Request,
    app: &App,
    limit: usize,
) -> Result<bytes::Bytes, ServiceError> {
    let time = Duration::from_secs(app.config().listen.body_seconds);
    // The pages on loopback have no place in the budget.
    let serving = request.extensions().get::<Connection>().map(|connection| connection.serving.clone());
    let read = read_body(request.into_body(), limit, serving.as_deref());
    tokio::time::timeout(time, read).await.unwrap_or(Err(ServiceError::BodyTooSlow))
}

/// What a body is given room for before anything of it came, in bytes at most.
const ROOM_BYTES: usize = 16 * 1024;

async fn read_body(
    mut body: Body,
    limit: usize,
    serving: Option<&Serving>,
) -> Result<bytes::Bytes, ServiceError> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(ServiceError::BodyTooLarge { limit });
    }
    let hold = |bytes| match serving {
        Some(serving) => serving.hold_body(bytes).map_err(|_| ServiceError::Busy),
        None => Ok(()),
    };
    // Only what came is counted: whoever announces much and sends nothing costs nobody anything.
    let mut read = bytes::BytesMut::with_capacity(expected.min(ROOM_BYTES));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ServiceError::Malformed(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(ServiceError::BodyTooLarge { limit });
        }
        hold(data.len())?;
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

impl<T: DeserializeOwned> FromRequest<HttpState> for SmallJson<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, ApiError> {
        let bytes = body(request, state, SMALL_BODY_BYTES).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ServiceError::Malformed(error.to_string()).into())
    }
}

impl<T: DeserializeOwned> FromRequest<HttpState> for Json<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, ApiError> {
        let bytes = body(request, state, super::max_body_bytes(state)).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ServiceError::Malformed(error.to_string()).into())
    }
}

impl<T: DeserializeOwned> FromRequest<HttpState> for LargeJson<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, ApiError> {
        let small = super::max_body_bytes(state);
        let expected = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
        if expected <= small {
            let bytes = body(request, state, small).await?;
            return read_json(&bytes).map(Self);
        }
        let _permit = state.large_bodies.try_acquire().map_err(|_| ServiceError::Busy)?;
        let bytes = body(request, state, posting::max_body_bytes(state)).await?;
        read_json(&bytes).map(Self)
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ServiceError::Malformed(error.to_string()).into())
}

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<HttpState> for LimitedJson<T, LIMIT> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, ApiError> {
        let bytes = body(request, state, LIMIT).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ServiceError::Malformed(error.to_string()).into())
    }
}

impl FromRequest<HttpState> for Bytes {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &HttpState) -> Result<Self, ApiError> {
        body(request, state, momedo_protocol::mceliece::PUBLIC_KEY_BYTES).await.map(Self)
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<HttpState> for InPath<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ServiceError::Malformed(rejection.body_text()).into()),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<HttpState> for InQuery<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ServiceError::Malformed(rejection.body_text()).into()),
        }
    }
}
