use kiln_config::Activation;

use super::*;
use crate::{Input, Layer, Member, Pixels};

fn network() -> Network {
    let layer = Layer { inputs: 4, outputs: 2, weight: vec![0.1; 8], bias: vec![-2.0, 1e5] };
    Network {
        input: Input::Pixels(Pixels {
            shape: [1, 2, 2],
            greatest: 255,
            divisor: 255.0,
            mean: 0.0,
            deviation: 1.0,
        }),
        members: vec![Member { waves: None, layers: vec![layer] }],
        activation: Activation::Relu,
        keep: 1.0,
        is_sigmoid: false,
        calibration: None,
        threshold: None,
        classes: vec!["</script><b>".to_owned(), "no".to_owned()],
    }
}

fn facts() -> PageFacts {
    PageFacts {
        name: "a <run>".to_owned(),
        data: "digits".to_owned(),
        date: "2024-02-29".to_owned(),
        examples: Some(1),
        tested: None,
        sha256: "ab".to_owned(),
        frame: None,
        cost: None,
    }
}

#[test]
fn no_name_can_leave_its_place() {
    let page = page(&network(), &facts(), Answers::Embedded { bits: Bits::All });
    assert_eq!(page.matches("</script>").count(), 3);
    assert!(
        !page.contains("<b>") && page.contains(r"\u003c/script>\u003cb>") && page.contains("a &lt;run&gt;")
    );
}

#[test]
fn weights_are_little_endian_numbers() {
    let bytes = STANDARD.decode(weights(&network(), Bits::All)).unwrap();
    assert_eq!((bytes.len(), &bytes[32..36]), (40, &(-2.0_f32).to_le_bytes()[..]));
    let half = STANDARD.decode(weights(&network(), Bits::Half)).unwrap();
    assert_eq!((half.len(), &half[16..18]), (20, &0xc000_u16.to_le_bytes()[..]));
}

#[test]
fn what_16_bits_do_not_hold_is_refused() {
    let message = network().rounded_to_half().unwrap_err().to_string();
    assert!(message.contains("a weight of 100000 (network 1)"), "{message}");
    let mut fitting = network();
    fitting.members[0].layers[0].bias[1] = 1.0;
    let rounded = fitting.rounded_to_half().unwrap();
    assert_eq!(rounded.members[0].layers[0].weight[0], 0.099_975_586);
}

#[test]
fn a_page_may_ask_its_own_server_and_nobody_else() {
    let embedded = page(&network(), &facts(), Answers::Embedded { bits: Bits::All });
    let asking = page(&network(), &facts(), Answers::Server { path: "/predict", rows: 10, bytes: 1000 });
    assert!(embedded.contains("default-src 'none'") && !embedded.contains("connect-src"));
    assert!(asking.contains("connect-src 'self'") && !asking.contains("id=\"weights\""));
}
