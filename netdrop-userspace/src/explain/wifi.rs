//! Wi-Fi frames that mac80211 refuses, net/mac80211/drop.h. Rare on a node: an edge device with a wireless uplink has them.

use super::{Class, Explanation, Step};

const CAUSES: &[&str] = &[
    "a weak or disturbed radio link: a few of them are normal",
    "an access point and a station that disagree on keys or features; a station that just left",
];
const NEXT: &[Step] = &[
    Step { command: "iw dev DEVICE link; iw dev DEVICE station dump", shows: "signal, retries and failures" },
    Step {
        command: "dmesg | grep -iE 'wlan|mac80211'",
        shows: "keys that were set anew, stations that left",
    },
];

/// All have the same causes and steps; only the sentence differs.
macro_rules! frames {
    ($($name:ident $means:literal;)+) => {
        &[$(Explanation {
            name: stringify!($name),
            also: &[],
            class: Class::Informational,
            means: $means,
            causes: CAUSES,
            next: NEXT,
        }),+]
    };
}

pub(super) const TABLE: &[Explanation] = frames! {
    RX_DROP_M_UNEXPECTED_4ADDR_FRAME "A Wi-Fi frame with four addresses came from a station that should not send such.";
    RX_DROP_M_BAD_BCN_KEYIDX "A protected Wi-Fi beacon names a key that does not exist.";
    RX_DROP_M_BAD_MGMT_KEYIDX "A protected Wi-Fi management frame names a key that does not exist.";
    RX_DROP_U_MIC_FAIL "The integrity check of a Wi-Fi frame failed.";
    RX_DROP_U_REPLAY "The packet number of a Wi-Fi frame was used before: a repetition or a replay.";
    RX_DROP_U_BAD_MMIE "The integrity element of a Wi-Fi management frame is missing or broken.";
    RX_DROP_U_DUP "The Wi-Fi frame was already received: its acknowledgement was lost on the air.";
    RX_DROP_U_SPURIOUS "A Wi-Fi frame came from a station that is not associated.";
    RX_DROP_U_DECRYPT_FAIL "The Wi-Fi frame could not be decrypted.";
    RX_DROP_U_NO_KEY_ID "The Wi-Fi frame is too short to hold the number of its key.";
    RX_DROP_U_BAD_CIPHER "The Wi-Fi frame is encrypted with a cipher that can't be used here.";
    RX_DROP_U_OOM "There was no memory for the Wi-Fi frame.";
    RX_DROP_U_NONSEQ_PN "The packet numbers of a Wi-Fi frame's fragments do not follow each other.";
    RX_DROP_U_BAD_KEY_COLOR "The fragments of a Wi-Fi frame are encrypted with different keys.";
    RX_DROP_U_BAD_4ADDR "A Wi-Fi frame with four addresses came where none is allowed.";
    RX_DROP_U_BAD_AMSDU "An aggregated Wi-Fi frame is not valid.";
    RX_DROP_U_BAD_AMSDU_CIPHER "An aggregated Wi-Fi frame is encrypted with a cipher that does not allow that.";
    RX_DROP_U_INVALID_8023 "The Wi-Fi frame can't be turned into an Ethernet frame.";
    RX_DROP_U_RUNT_ACTION "A Wi-Fi action frame is too short.";
    RX_DROP_U_UNPROT_ACTION "A Wi-Fi action frame that must be protected is not.";
    RX_DROP_U_UNPROT_DUAL "A Wi-Fi frame for both protected and public use is not protected.";
    RX_DROP_U_UNPROT_UCAST_MGMT "A Wi-Fi management frame for one station must be protected and is not.";
    RX_DROP_U_UNPROT_MCAST_MGMT "A Wi-Fi management frame for many stations must be protected and is not.";
    RX_DROP_U_UNPROT_BEACON "A Wi-Fi beacon must be protected and is not.";
    RX_DROP_U_UNPROT_UNICAST_PUB_ACTION "A public Wi-Fi action frame for one station must be protected and is not.";
    RX_DROP_U_UNPROT_ROBUST_ACTION "A robust Wi-Fi action frame must be protected and is not.";
    RX_DROP_U_ACTION_UNKNOWN_SRC "A Wi-Fi action frame came from a station that is not known.";
    RX_DROP_U_REJECTED_ACTION_RESPONSE "A Wi-Fi action frame says that the other side did not understand ours.";
    RX_DROP_U_EXPECT_DEFRAG_PROT "A fragment of a protected Wi-Fi frame is not protected.";
    RX_DROP_U_WEP_DEC_FAIL "A Wi-Fi frame could not be decrypted with WEP.";
    RX_DROP_U_NO_IV "A Wi-Fi frame is too short for its initialization vector.";
    RX_DROP_U_NO_ICV "A Wi-Fi frame is too short for its checksum.";
    RX_DROP_U_AP_RX_GROUPCAST "An access point got a Wi-Fi frame for many, which only it may send.";
    RX_DROP_U_SHORT_MMIC "A Wi-Fi frame is too short for its integrity code (TKIP).";
    RX_DROP_U_MMIC_FAIL "The integrity code of a Wi-Fi frame is wrong (TKIP).";
    RX_DROP_U_SHORT_TKIP "A Wi-Fi frame is too short for TKIP.";
    RX_DROP_U_TKIP_FAIL "A Wi-Fi frame could not be decrypted with TKIP.";
    RX_DROP_U_SHORT_CCMP "A Wi-Fi frame is too short for CCMP.";
    RX_DROP_U_SHORT_CCMP_MIC "A Wi-Fi frame is too short for the integrity code of CCMP.";
    RX_DROP_U_SHORT_GCMP "A Wi-Fi frame is too short for GCMP.";
    RX_DROP_U_SHORT_GCMP_MIC "A Wi-Fi frame is too short for the integrity code of GCMP.";
    RX_DROP_U_SHORT_CMAC "A Wi-Fi management frame is too short for CMAC.";
    RX_DROP_U_SHORT_CMAC256 "A Wi-Fi management frame is too short for CMAC-256.";
    RX_DROP_U_SHORT_GMAC "A Wi-Fi management frame is too short for GMAC.";
    RX_DROP_U_UNEXPECTED_VLAN_4ADDR "A Wi-Fi frame with four addresses came on a VLAN that does not use them.";
    RX_DROP_U_UNEXPECTED_STA_4ADDR "A Wi-Fi frame with four addresses came to a station that does not use them.";
    RX_DROP_U_UNEXPECTED_VLAN_MCAST "A Wi-Fi frame for many came from a station on a VLAN of its own.";
    RX_DROP_U_NOT_PORT_CONTROL "A Wi-Fi frame came before the station was authorised, and it is not part of the login.";
    RX_DROP_U_UNKNOWN_ACTION_REJECTED "A Wi-Fi action frame of an unknown kind was answered with a rejection.";
};
