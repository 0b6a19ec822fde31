//! Plain JSON: rows and pictures in, classes and probabilities out.

mod answers;
mod pictures;
mod rows;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use crate::body::receive;
use crate::gate::counted;
use crate::model::{Model, Takes};
use crate::refusal::Refusal;
use crate::router::Target;
use crate::simple::answers::{Batch, respond};
use crate::state::Server;
use crate::work::{Size, done};

/// `POST /predict`: asks the only model.
pub(crate) async fn predict(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response, Refusal> {
    let model = Arc::clone(server.catalog().only()?);
    let answer = answer(&server, &model, request).await;
    Ok(counted(&model, answer))
}

/// `POST /models/{model}/predict`.
pub(crate) async fn predict_of_model(
    State(server): State<Arc<Server>>,
    target: Target,
    request: Request,
) -> Result<Response, Refusal> {
    let model = Arc::clone(server.catalog().find(&target.model, None)?);
    let answer = answer(&server, &model, request).await;
    Ok(counted(&model, answer))
}

async fn answer(server: &Server, model: &Arc<Model>, request: Request) -> Result<Response, Refusal> {
    let limits = server.limits;
    let received = receive(request, &limits).await?;
    let place = received.place.clone();
    let batch: Batch = match &model.takes {
        Takes::Rows(_) => {
            let (reader, size) = (Arc::clone(model), Size::of_body(received.body.len()));
            done(size, place.clone(), move || rows::read(&reader, &received, limits.rows)).await?
        }
        Takes::Pictures(_) => {
            let reader = Arc::clone(model);
            // A picture may be much larger than its file.
            done(Size::Large, place.clone(), move || pictures::read(&reader, &received, limits.rows)).await?
        }
    };
    let (rows, refused) = (batch.len(), batch.rows.len() - batch.len());
    let (answering, size) = (Arc::clone(model), Size::of_rows(rows, model.weights));
    let (response, remarks) =
        done(size, place, move || Ok((respond(&answering, &batch)?, batch.remarks))).await?;
    model.count_rows(rows, refused, remarks.as_ref());
    Ok(response)
}
