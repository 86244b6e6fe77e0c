//! Frozen constants, set by the loader before the programs are verified: a branch on one is pruned.

use aya_ebpf::Global;
use netdrop_common::fields::ABSENT;

macro_rules! fields {
    ($(($global:ident, $container:literal, $path:literal, $size:literal, $required:literal)),* $(,)?) => {
        $(
            #[doc = concat!("Offset of `", $container, ".", $path, "` in bytes.")]
            #[unsafe(no_mangle)]
            pub static $global: Global<u32> = Global::new(ABSENT);
        )*
    };
}
netdrop_common::kernel_fields!(fields);

macro_rules! knobs {
    ($($name:ident = $default:literal),* $(,)?) => {
        $(
            #[doc = concat!("See `netdrop_common::knobs`: `", stringify!($name), "`.")]
            #[unsafe(no_mangle)]
            pub static $name: Global<u32> = Global::new($default);
        )*
    };
}
knobs! {
    HAVE_REASON = 0,
    TCP_TIME_WAIT = 0,
    TCP_NEW_SYN_RECV = 0,
    WATERMARK = 1_048_576,
    QUIET_US = 5_000,
    FILTER_STAGES = 0,
    FLOW_INTERVAL_NS = 0,
    PRESSURE = 4_194_304,
    STACK_BYTES = 0,
    BENIGN_0 = 0,
    BENIGN_1 = 0,
    BENIGN_2 = 0,
    BENIGN_3 = 0,
    BENIGN_4 = 0,
    BENIGN_5 = 0,
    BENIGN_6 = 0,
    BENIGN_7 = 0,
}
