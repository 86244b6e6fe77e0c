//! TCP's own rules: sequence numbers, windows, states, options.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    TCP_CSUM: Actionable,
        "The TCP checksum is wrong.",
        causes [
            "checksum offload of a network card or virtual device is broken, often for tunnelled packets",
            "a proxy, NAT or BPF program changed the packet without correcting the checksum",
        ],
        next [
            "nstat -az TcpInCsumErrors" => "how many so far",
            "ethtool -k DEVICE | grep checksum" => "offloads; try: ethtool -K DEVICE tx off",
        ];
    TCP_LISTEN_OVERFLOW: Actionable,
        "The listening socket's queue of connections that wait for accept() is full, so a new one was refused.",
        causes [
            "the application accepts too slowly: short of CPU, blocked, or one thread for all",
            "its backlog is small: the kernel takes the smaller of listen()'s and net.core.somaxconn",
            "a reconnect storm after a restart",
        ],
        next [
            "nsenter -t PID -n ss -ltn" => "Recv-Q is what waits, Send-Q is the limit",
            "nsenter -t PID -n nstat -az TcpExtListenOverflows TcpExtListenDrops" => "how many so far",
            "nsenter -t PID -n sysctl net.core.somaxconn net.ipv4.tcp_max_syn_backlog" => "the limits in the pod's namespace",
        ];
    TCP_RESET: Informational,
        "A RST arrived; the connection it belongs to is closed by it, or the RST was not valid and is ignored.",
        causes [
            "the other end closed at once: crash, refused connection, idle timeout of a proxy or load balancer",
            "a firewall or a Service without endpoints rejects with a RST",
        ],
        next [
            "nstat -az TcpEstabResets TcpExtTCPAbortOnData TcpOutRsts" => "resets so far, both ways",
            "kubectl get pod POD -n NAMESPACE" => "whether the other end restarted",
        ];
    TCP_CLOSE: Informational,
        "A packet came for a TCP socket that is already closed.",
        causes ["late packets after a connection ended; many mean that one end closes while the other still sends"],
        next ["nsenter -t PID -n ss -tan state all '( sport = :PORT )'" => "the states of the connections on this port"];
    TCP_FLAGS: Informational,
        "The TCP flags make no sense in this state (such as no ACK in an open connection, or FIN to a listener).",
        causes ["a port scan", "late packets of an old connection reach a socket that listens again", "a middlebox that rewrites packets"],
        next ["tcpdump -nni any -c 20 'tcp port PORT and tcp[13] & 0x17 != 0x10'" => "the flags and who sends them"];
    TCP_ABORT_ON_DATA: Informational,
        "Data came for a connection that the application had already closed, so it was reset.",
        causes ["an HTTP server or proxy closes a kept-alive connection just when the client sends the next request", "the application closes without reading everything"],
        next ["nstat -az TcpExtTCPAbortOnData TcpExtTCPAbortOnClose" => "how many so far"];
    TCP_ZEROWINDOW: Actionable,
        "Data came while the receiver had announced that it has no room (window zero).",
        causes ["the application does not read: it hangs, is short of CPU, or waits for something else", "the other end ignores the window"],
        next [
            "nsenter -t PID -n ss -tmnp" => "Recv-Q of each connection: a large one is not being read",
            "nstat -az TcpExtTCPZeroWindowDrop TcpExtTCPToZeroWindowAdv" => "how many so far",
        ];
    TCP_OLD_DATA: Benign,
        "The data had already been received: a retransmission that was not needed.",
        causes ["an ACK was late or lost, so the sender sent again", "keepalive probes also look like this"],
        next ["nstat -az TcpExtDelayedACKLost TcpExtTCPDSACKOldSent" => "how many so far; many mean loss or long delays on the way back"];
    TCP_OVERWINDOW: Informational,
        "The data lies beyond the window that the receiver had announced.",
        causes ["a middlebox or proxy changes sequence numbers or window scaling", "the receiver's buffer was made smaller while data was on its way"],
        next ["nstat -az TcpExtTCPRcvQDrop TcpExtBeyondWindow TcpExtTCPWinProbe" => "how many so far", "nsenter -t PID -n ss -tmni dst ADDRESS" => "window and buffer of the connection"];
    TCP_OFOMERGE: Benign,
        "The data was already waiting in the queue of segments that came out of order.",
        causes ["a retransmission of data that had only been reordered"],
        next ["nstat -az TcpExtTCPOFOMerge TcpExtTCPOFOQueue" => "how many so far; many mean reordering on the way"];
    TCP_OFO_DROP: Actionable,
        "A segment that came out of order could not be kept, because the receive buffer has no room.",
        causes ["packet loss on the way together with a slow reader", "the buffer is small: net.ipv4.tcp_rmem, or the pod's memory limit"],
        next ["nstat -az TcpExtTCPOFODrop TcpExtRcvPruned" => "how many so far", "sysctl net.ipv4.tcp_rmem" => "smallest, default and largest receive buffer"];
    TCP_OFO_QUEUE_PRUNE: Actionable,
        "Segments that came out of order were thrown away to make room in the receive buffer.",
        causes ["packet loss on the way together with a slow reader", "memory pressure of the pod or node"],
        next ["nstat -az TcpExtOfoPruned TcpExtRcvPruned TcpExtPruneCalled" => "how many so far", "nsenter -t PID -n ss -tmni" => "buffers of each connection"];
    TCP_RFC7323_PAWS: Actionable,
        "The TCP timestamp is older than the last one of this connection (PAWS), so it counts as a stray of the past.",
        causes [
            "several clients behind one NAT address, with different clocks, reuse a port",
            "a load balancer or proxy strips or rewrites timestamps",
            "packets were delayed or reordered for long",
        ],
        next ["nstat -az TcpExtPAWSEstab TcpExtPAWSActive" => "how many so far", "sysctl net.ipv4.tcp_timestamps" => "1 means random offsets per connection, which is the default"];
    TCP_RFC7323_PAWS_ACK: Benign,
        "An old ACK, overtaken by newer ones, failed the timestamp check; nothing is lost by it.",
        causes ["packets were reordered on the way"],
        next ["nstat -az TcpExtPAWSOldAck" => "how many so far"];
    TCP_RFC7323_TW_PAWS: Informational,
        "A packet for a connection in TIME_WAIT has a timestamp older than that connection's.",
        causes ["a client behind NAT reuses a port within a minute, with another clock"],
        next ["nstat -az TcpExtPAWSTimewait" => "how many so far", "sysctl net.ipv4.tcp_tw_reuse" => "whether this node reuses such ports itself"];
    TCP_RFC7323_TSECR: Informational,
        "The answer to a SYN echoes a timestamp that this machine did not send.",
        causes ["a stray answer to an earlier connection on the same ports", "a middlebox that rewrites timestamps"],
        next ["nstat -az TcpExtPAWSActive TcpExtTSEcrRejected" => "how many so far"];
    TCP_OLD_SEQUENCE: Benign,
        "The segment ends before what the receiver already has: an old duplicate, or a keepalive probe; it is answered.",
        causes ["keepalive probes, which repeat a byte on purpose: one for each interval and idle connection", "a retransmission whose original did arrive"],
        next ["nstat -az TcpRetransSegs TcpExtTCPDSACKOldSent" => "retransmissions so far"];
    TCP_INVALID_SEQUENCE: Informational,
        "The sequence number lies outside the receiver's window.",
        causes [
            "conntrack or a proxy lost track of the connection, so packets of two connections mix",
            "a stray of an old connection on the same ports",
        ],
        next ["conntrack -S" => "whether 'invalid' grows", "nstat -az TcpExtTCPChallengeACK TcpExtTCPACKSkippedSeq" => "how many so far"];
    TCP_INVALID_END_SEQUENCE: Informational,
        "The segment begins inside the receiver's window but ends beyond it.",
        causes ["the other end ignores the window, or the receiver's buffer was made smaller"],
        next ["nstat -az TcpExtBeyondWindow" => "how many so far"];
    TCP_INVALID_ACK_SEQUENCE: Informational,
        "The ACK number does not fit the connection that is being set up.",
        causes ["a stray of an old connection on the same ports", "a SYN proxy or cookie that no longer fits"],
        next ["nstat -az TcpExtTCPACKSkippedSynRecv TcpExtSyncookiesFailed" => "how many so far"];
    TCP_INVALID_SYN: Informational,
        "A SYN came in the middle of an open connection; the kernel answers with a challenge ACK.",
        causes ["the client crashed or rebooted and opens the same ports again", "NAT gave a new connection the ports of one that is still open"],
        next ["nstat -az TcpExtTCPSYNChallenge" => "how many so far"];
    TCP_OLD_ACK: Informational,
        "The ACK confirms nothing new in a connection that is being set up or closed; while it is set up, the kernel answers with a RST.",
        causes ["packets of an earlier connection on the same ports", "packets were reordered on the way"],
        next ["nstat -az TcpExtTCPDSACKRecv TcpExtTCPSACKReorder TcpExtTCPChallengeACK" => "reordering and challenges so far", "nsenter -t PID -n ss -tan state syn-recv" => "connections that are being set up"];
    TCP_TOO_OLD_ACK: Informational,
        "The ACK is so old that it may be forged; the kernel answers with a challenge ACK.",
        causes ["packets were delayed for long", "a forged packet"],
        next ["nstat -az TcpExtTCPChallengeACK" => "how many so far"];
    TCP_ACK_UNSENT_DATA: Informational,
        "The ACK confirms data that was never sent.",
        causes ["a middlebox or proxy that changes sequence numbers", "packets of an older connection on the same ports"],
        next ["nstat -az TcpExtTCPChallengeACK" => "how many so far", "conntrack -L -d ADDRESS" => "what conntrack knows of the connection"];
    TCP_FASTOPEN: Informational,
        "A packet for a connection that TCP Fast Open is still setting up did not fit.",
        causes ["a duplicate SYN or early data of a Fast Open connection"],
        next ["nstat -az TcpExtTCPFastOpenPassiveFail TcpExtTCPFastOpenListenOverflow" => "how many so far"];
    TCP_AUTH_HDR: Actionable,
        "The TCP option that signs packets (MD5 or AO) can't be read or is there twice.",
        causes ["two BGP speakers (Calico, Cilium, MetalLB and a router) disagree on TCP-AO and MD5", "a middlebox changes options"],
        next ["ss -tnp '( sport = :179 or dport = :179 )'" => "BGP sessions"];
    TCP_MD5NOTFOUND: Actionable,
        "This socket expects packets signed with MD5, and this one is not.",
        causes ["a BGP password is set on the node but not on the router"],
        next ["nstat -az TcpExtTCPMD5NotFound" => "how many so far", "ss -tnp '( sport = :179 or dport = :179 )'" => "BGP sessions"];
    TCP_MD5UNEXPECTED: Actionable,
        "The packet is signed with MD5, and this socket does not expect it.",
        causes ["a BGP password is set on the router but not on the node"],
        next ["nstat -az TcpExtTCPMD5Unexpected" => "how many so far", "ss -tnp '( sport = :179 or dport = :179 )'" => "BGP sessions"];
    TCP_MD5FAILURE: Actionable,
        "The packet's MD5 signature is wrong.",
        causes ["the two ends of a BGP session have different passwords"],
        next ["nstat -az TcpExtTCPMD5Failure" => "how many so far", "ss -tnp '( sport = :179 or dport = :179 )'" => "BGP sessions"];
    TCP_AONOTFOUND: Actionable,
        "This socket expects packets signed with TCP-AO, and this one is not.",
        causes ["TCP-AO is set up on one end of a BGP session only"],
        next ["nstat -az TcpExtTCPAORequired" => "how many so far"];
    TCP_AOUNEXPECTED: Actionable,
        "The packet is signed with TCP-AO, and this socket does not expect it.",
        causes ["TCP-AO is set up on one end of a BGP session only"],
        next ["nstat -az TcpExtTCPAOKeyNotFound" => "how many so far"];
    TCP_AOKEYNOTFOUND: Actionable,
        "The packet is signed with a TCP-AO key that this socket does not have.",
        causes ["keys are being changed and one end has not got the new one"],
        next ["nstat -az TcpExtTCPAOKeyNotFound" => "how many so far"];
    TCP_AOFAILURE: Actionable,
        "The packet's TCP-AO signature is wrong.",
        causes ["the two ends have different keys under the same number", "a NAT changes the addresses that the signature covers"],
        next ["nstat -az TcpExtTCPAOBad" => "how many so far"];
};
