//! The server's protocol over gRPC, by a client of others.

use std::path::Path;
use std::process::Command;

use crate::program::{Workplace, python_with};
use crate::web::Served;

#[test]
fn grpc_answers_as_http_does() {
    let Some(python) = python_with("tritonclient.grpc, tritonclient.http") else { return };
    let workplace = Workplace::new("name = \"digits\"\n[model]\nhidden = [32]\n[training]\nepochs = 2\n");
    workplace.train(&[]);
    let served = Served::start(&workplace, &["latest"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc_peer.py");
    let output = Command::new(python).arg(script).arg(served.address()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim() == "the same", "{errors}");
    let counted = served.get("/metrics").text().contains("outcome=\"rejected\"} 3\n");
    assert!(counted, "{}", served.get("/metrics").text());
    let Served { process, .. } = served;
    process.signal("TERM");
    process.wait().expect(0);
}
