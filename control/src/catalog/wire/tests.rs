use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::catalog::testing::Lab;

#[test]
fn a_field_that_breaks_its_rule_is_named() {
    let mut message = pb::Command::default();
    let key = pb::ServiceKey { account: "not hexadecimal".to_owned(), name: "shop".to_owned() };
    let delete = pb::DeleteService { service: Some(key), although_bound: false };
    message.changes.push(pb::Change { kind: Some(pb::change::Kind::DeleteService(delete)) });
    let error = Command::try_from(message).unwrap_err().to_string();
    assert!(error.contains("service.account"), "{error}");
}

#[test]
fn a_missing_field_is_named() {
    let message = pb::Command { changes: vec![pb::Change { kind: None }], ..pb::Command::default() };
    let error = Command::try_from(message).unwrap_err().to_string();
    assert!(error.contains("change.kind of the stored message is missing"), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_command(&bytes);
        let _ = decode_catalog(&bytes);
        if let Ok(message) = pb::Command::decode(&bytes[..]) {
            let _ = Command::try_from(message);
        }
        if let Ok(message) = pb::Catalog::decode(&bytes[..]) {
            let _ = Catalog::try_from(message);
        }
    }

    #[test]
    fn a_damaged_record_is_never_taken_for_a_whole_one(at in any::<usize>(), bit in 0..8_u32) {
        let mut bytes = encode_catalog(&Lab::new().catalog);
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode_catalog(&bytes).is_err());
    }
}
