//! What the server says about each result of a transaction, from the protocol's definitions.

/// The number of a result and what the server says about it; `None` for one that is newer than this table.
pub fn known(result: &str) -> Option<(i32, &'static str)> {
    let at = RESULTS.binary_search_by(|(name, ..)| (*name).cmp(result)).ok()?;
    let (_, code, message) = RESULTS[at];
    Some((code, message))
}

/// The number of the class of a result that nobody knows, so that it is at least told whether it succeeded.
pub fn of_class(result: &str) -> i32 {
    match result.get(..3) {
        Some("tes") => 0,
        Some("ter") => -99,
        Some("tef") => -199,
        Some("tem") => -299,
        Some("tel") => -399,
        // Only successes and claimed fees come into a ledger.
        _ => 100,
    }
}

/// By name, for the search.
const RESULTS: [(&str, i32, &str); 85] = [
    ("tecAMM_ACCOUNT", 168, "This operation is not allowed on an AMM Account."),
    ("tecAMM_BALANCE", 163, "AMM has invalid balance."),
    ("tecAMM_EMPTY", 166, "AMM is in empty state."),
    ("tecAMM_FAILED", 164, "AMM transaction failed."),
    ("tecAMM_INVALID_TOKENS", 165, "AMM invalid LP tokens."),
    ("tecAMM_NOT_EMPTY", 167, "AMM is not in empty state."),
    ("tecARRAY_EMPTY", 190, "Array is empty."),
    ("tecARRAY_TOO_LARGE", 191, "Array is too large."),
    ("tecBAD_CREDENTIALS", 193, "Bad credentials."),
    ("tecBAD_PROOF", 199, ""),
    ("tecCANT_ACCEPT_OWN_NFTOKEN_OFFER", 158, "An NFToken offer cannot be claimed by its owner."),
    ("tecCLAIM", 100, "Fee claimed. Sequence used. No action."),
    ("tecCRYPTOCONDITION_ERROR", 146, "Malformed, invalid, or mismatched conditional or fulfillment."),
    ("tecDIR_FULL", 121, "Can not add entry to full directory."),
    ("tecDST_TAG_NEEDED", 143, "A destination tag is required."),
    ("tecDUPLICATE", 149, "Ledger object already exists."),
    ("tecEMPTY_DID", 187, "The DID object did not have a URI or DIDDocument field."),
    ("tecEXPIRED", 148, "Expiration time is passed."),
    ("tecFAILED_PROCESSING", 105, "Failed to correctly process transaction."),
    ("tecFROZEN", 137, "Asset is frozen."),
    ("tecHAS_OBLIGATIONS", 151, "The account cannot be deleted since it has obligations."),
    ("tecINCOMPLETE", 169, "Some work was completed, but more submissions required to finish."),
    ("tecINSUFFICIENT_FUNDS", 159, "Not enough funds available to complete requested transaction."),
    ("tecINSUFFICIENT_PAYMENT", 161, "The payment is not sufficient."),
    ("tecINSUFFICIENT_RESERVE", 141, "Insufficient reserve to complete requested operation."),
    ("tecINSUFF_FEE", 136, "Insufficient balance to pay fee."),
    ("tecINSUF_RESERVE_LINE", 122, "Insufficient reserve to add trust line."),
    ("tecINSUF_RESERVE_OFFER", 123, "Insufficient reserve to create offer."),
    ("tecINTERNAL", 144, "An internal error has occurred during processing."),
    ("tecINVALID_UPDATE_TIME", 188, "The Oracle object has invalid LastUpdateTime field."),
    ("tecINVARIANT_FAILED", 147, "One or more invariants for the transaction were not satisfied."),
    ("tecKILLED", 150, "No funds transferred and no offer created."),
    ("tecLIMIT_EXCEEDED", 195, "Limit exceeded."),
    ("tecLOCKED", 192, "Fund is locked."),
    ("tecMAX_SEQUENCE_REACHED", 154, "The maximum sequence number was reached."),
    ("tecNEED_MASTER_KEY", 142, "The operation requires the use of the Master Key."),
    ("tecNFTOKEN_BUY_SELL_MISMATCH", 156, "The 'Buy' and 'Sell' NFToken offers are mismatched."),
    ("tecNFTOKEN_OFFER_TYPE_MISMATCH", 157, "The type of NFToken offer is incorrect."),
    ("tecNO_ALTERNATIVE_KEY", 130, "The operation would remove the ability to sign transactions with the account."),
    ("tecNO_AUTH", 134, "Not authorized to hold asset."),
    ("tecNO_DST", 124, "Destination does not exist. Send XRP to create it."),
    ("tecNO_DST_INSUF_XRP", 125, "Destination does not exist. Too little XRP sent to create it."),
    ("tecNO_ENTRY", 140, "No matching entry found."),
    ("tecNO_ISSUER", 133, "Issuer account does not exist."),
    ("tecNO_LINE", 135, "No such line."),
    ("tecNO_LINE_INSUF_RESERVE", 126, "No such line. Too little reserve to create it."),
    ("tecNO_LINE_REDUNDANT", 127, "Can't set non-existent line to default."),
    ("tecNO_PERMISSION", 139, "No permission to perform requested operation."),
    ("tecNO_REGULAR_KEY", 131, "Regular key is not set."),
    ("tecNO_SPONSOR_PERMISSION", 200, ""),
    ("tecNO_SUITABLE_NFTOKEN_PAGE", 155, "A suitable NFToken page could not be located."),
    ("tecNO_TARGET", 138, "Target account does not exist."),
    ("tecOBJECT_NOT_FOUND", 160, "A requested object could not be located."),
    ("tecOVERSIZE", 145, "Object exceeded serialization limits."),
    ("tecOWNERS", 132, "Non-zero owner count."),
    ("tecPATH_DRY", 128, "Path could not send partial amount."),
    ("tecPATH_PARTIAL", 101, "Path could not send full amount."),
    ("tecPRECISION_LOSS", 197, "The amounts used by the transaction cannot interact."),
    ("tecPSEUDO_ACCOUNT", 196, "This operation is not allowed against a pseudo-account."),
    ("tecTOKEN_PAIR_NOT_FOUND", 189, "Token pair is not found in Oracle object."),
    ("tecTOO_SOON", 152, "It is too early to attempt the requested operation. Please wait."),
    ("tecUNFUNDED", 129, "Not enough XRP to satisfy the reserve requirement."),
    ("tecUNFUNDED_ADD", 102, "DEPRECATED."),
    ("tecUNFUNDED_AMM", 162, "Insufficient balance to fund AMM."),
    ("tecUNFUNDED_OFFER", 103, "Insufficient balance to fund created offer."),
    ("tecUNFUNDED_PAYMENT", 104, "Insufficient XRP balance to send."),
    ("tecWRONG_ASSET", 194, "Wrong asset given."),
    ("tecXCHAIN_ACCOUNT_CREATE_PAST", 181, "The account create count has already passed."),
    (
        "tecXCHAIN_ACCOUNT_CREATE_TOO_MANY",
        182,
        "There are too many pending account create transactions to submit a new one.",
    ),
    ("tecXCHAIN_BAD_CLAIM_ID", 172, "Bad xchain claim id."),
    ("tecXCHAIN_BAD_PUBLIC_KEY_ACCOUNT_PAIR", 185, "Bad public key account pair in an xchain transaction."),
    ("tecXCHAIN_BAD_TRANSFER_ISSUE", 170, "Bad xchain transfer issue."),
    ("tecXCHAIN_CLAIM_NO_QUORUM", 173, "Quorum was not reached on the xchain claim."),
    ("tecXCHAIN_CREATE_ACCOUNT_DISABLED", 186, "This bridge does not support account creation."),
    ("tecXCHAIN_CREATE_ACCOUNT_NONXRP_ISSUE", 175, "Only XRP may be used for xchain create account."),
    ("tecXCHAIN_INSUFF_CREATE_AMOUNT", 180, "Insufficient amount to create an account."),
    ("tecXCHAIN_NO_CLAIM_ID", 171, "No such xchain claim id."),
    ("tecXCHAIN_NO_SIGNERS_LIST", 178, "The account did not have a signers list."),
    ("tecXCHAIN_PAYMENT_FAILED", 183, "Failed to transfer funds in a xchain transaction."),
    ("tecXCHAIN_PROOF_UNKNOWN_KEY", 174, "Unknown key for the xchain proof."),
    ("tecXCHAIN_REWARD_MISMATCH", 177, "The reward amount must match the reward specified in the xchain bridge."),
    ("tecXCHAIN_SELF_COMMIT", 184, "Account cannot commit funds to itself."),
    ("tecXCHAIN_SENDING_ACCOUNT_MISMATCH", 179, "The sending account did not match the expected sending account."),
    ("tecXCHAIN_WRONG_CHAIN", 176, "XChain Transaction was submitted to the wrong chain."),
    ("tesSUCCESS", 0, "The transaction was applied. Only final in a validated ledger."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::xrpl::recordings::recorded;

    #[test]
    fn the_table_is_that_of_the_definitions() {
        assert!(RESULTS.is_sorted_by_key(|(name, ..)| *name));
        assert_eq!(known("tesSUCCESS"), Some((0, "The transaction was applied. Only final in a validated ledger.")));
        assert_eq!((known("tecNEVER_SEEN"), of_class("tecNEVER_SEEN")), (None, 100));
        let Some(definitions) = recorded("results.json") else { return };
        let definitions = definitions.as_object().unwrap();
        assert_eq!(definitions.len(), RESULTS.len());
        for (name, said) in definitions {
            let (code, message) = known(name).unwrap();
            assert_eq!(
                (i64::from(code), message),
                (said["code"].as_i64().unwrap(), said["message"].as_str().unwrap_or(""))
            );
        }
    }
}
