//! In which network namespace a packet was.

use crate::globals::{DEV_NET, DST_DEV, NET_INUM, NET_LOOPBACK, SKB_REFDST, SOCK_NET};
use crate::read::{self, Ptr};

/// `SKB_DST_NOREF` and the other flag bits below a pointer's alignment (include/linux/skbuff.h, 6.18).
const REFDST_FLAGS: u64 = 7;

/// The namespace of a device pointer that may be garbage: `skb->dev` shares its bytes with the socket layer's scratch space and
/// with a tree node. A real device's namespace has a loopback device that points back at it.
///
/// # Safety
/// `dev` must be typed by BTF.
#[inline(always)]
pub unsafe fn of_device(dev: Ptr) -> Option<Ptr> {
    if dev.is_null() {
        return None;
    }
    // SAFETY: typed pointers all the way; stale ones read as zero.
    unsafe {
        let net: Ptr = read::typed(dev, DEV_NET.load());
        if net.is_null() {
            return None;
        }
        let loopback: Ptr = read::typed(net, NET_LOOPBACK.load());
        if loopback.is_null() {
            return None;
        }
        let back: Ptr = read::typed(loopback, DEV_NET.load());
        (back == net).then_some(net)
    }
}

/// The inode of a packet's namespace: that of its device, else of its socket, else of its route.
///
/// # Safety
/// All pointers must be typed by BTF; `sk` may be null.
#[inline(always)]
pub unsafe fn inode(skb: Ptr, device_net: Option<Ptr>, sk: Ptr) -> Option<u32> {
    // SAFETY: typed pointers.
    unsafe {
        if let Some(net) = device_net {
            return Some(read::typed(net, NET_INUM.load()));
        }
        if !sk.is_null() {
            let net: Ptr = read::typed(sk, SOCK_NET.load());
            if !net.is_null() {
                let inode: u32 = read::typed(net, NET_INUM.load());
                if inode != 0 {
                    return Some(inode);
                }
            }
        }
        of_route(read::typed(skb, SKB_REFDST.load()))
    }
}

/// The same by `skb->_skb_refdst`, a number: each hop is a checked read.
#[inline(always)]
fn of_route(refdst: u64) -> Option<u32> {
    let dst = refdst & !REFDST_FLAGS;
    if dst == 0 {
        return None;
    }
    let dev: u64 = read::at(dst + u64::from(DST_DEV.load()))?;
    let net: u64 = read::at(dev + u64::from(DEV_NET.load()))?;
    let loopback: u64 = read::at(net + u64::from(NET_LOOPBACK.load()))?;
    let back: u64 = read::at(loopback + u64::from(DEV_NET.load()))?;
    if back != net {
        return None;
    }
    read::at(net + u64::from(NET_INUM.load()))
}
