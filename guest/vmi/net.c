/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, interfaces and routes of a kernel. */
#include "net.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "object.h"
#include "text.h"
#include "walk.h"

#define INTERFACES_MAX 10000
#define ADDRESSES_MAX 64
#define ROUTES_MAX 100000
#define TRIE_DEPTH_MAX 40
#define STEPS_MAX 4000000
#define TABLE_MAIN 254

/* Families, states and flags are of the interface to programs: they do not change. */
enum {
	FAMILY_UNIX = 1,
	FAMILY_INET = 2,
	FAMILY_INET6 = 10,
	FAMILY_NETLINK = 16,
	FAMILY_PACKET = 17,
	FAMILY_VSOCK = 40
};
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };
enum { TYPE_STREAM = 1, TYPE_DATAGRAM = 2, TYPE_RAW = 3, TYPE_SEQPACKET = 5 };
#define FLAG_UP 1u
#define STATE_NO_CARRIER 2 /* bit number */
#define TCP_LISTENS 10

static const char *const tcp_states[] = {
	"-",	      "established", "syn-sent", "syn-received", "fin-wait-1",
	"fin-wait-2", "time-wait",   "closed",	 "close-wait",	 "last-ack",
	"listening",  "closing",     "new",
};

static void ipv4(struct kernel *k, uint64_t at, char out[INET6_ADDRSTRLEN])
{
	uint8_t bytes[4] = { 0 };

	if (at && kernel_read(k, at, bytes, sizeof(bytes)) < 0) {
		kernel_mark(k, "an address cannot be read");
	}
	inet_ntop(AF_INET, bytes, out, INET6_ADDRSTRLEN);
}

static void ipv6(struct kernel *k, uint64_t at, char out[INET6_ADDRSTRLEN])
{
	uint8_t bytes[16] = { 0 };

	if (at && kernel_read(k, at, bytes, sizeof(bytes)) < 0) {
		kernel_mark(k, "an address cannot be read");
	}
	inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN);
}

/* ---- interfaces ---- */

static void add_address(struct interface_info *i, const char *address, uint64_t prefix)
{
	size_t len = strlen(i->addresses);

	snprintf(i->addresses + len, sizeof(i->addresses) - len, "%s%s/%u", len ? " " : "", address,
		 (unsigned)prefix);
}

static void take_addresses(struct kernel *k, uint64_t device, struct interface_info *i)
{
	uint64_t at = object_u64(k, "net_device", device, "ip_ptr"), entry;
	char text[INET6_ADDRSTRLEN];
	struct walk walk;

	at = at ? object_u64(k, "in_device", at, "ifa_list") : 0;
	for (int n = 0; at && n < ADDRESSES_MAX; n++) {
		ipv4(k, object_at(k, "in_ifaddr", at, "ifa_local"), text);
		add_address(i, text, object_u64(k, "in_ifaddr", at, "ifa_prefixlen"));
		at = object_u64(k, "in_ifaddr", at, "ifa_next");
	}
	if (!object_has(k, "net_device", "ip6_ptr") || !object_has(k, "inet6_dev", "addr_list")) {
		return;
	}
	at = object_u64(k, "net_device", device, "ip6_ptr");
	if (!at) {
		return;
	}
	list_begin(&walk, k, object_at(k, "inet6_dev", at, "addr_list"),
		   object_offset(k, "inet6_ifaddr", "if_list"));
	for (int n = 0; n < ADDRESSES_MAX && list_next(&walk, &entry); n++) {
		ipv6(k, object_at(k, "inet6_ifaddr", entry, "addr"), text);
		add_address(i, text, object_u64(k, "inet6_ifaddr", entry, "prefix_len"));
	}
}

void interfaces_each(struct kernel *k, uint64_t net,
		     void (*each)(const struct interface_info *i, void *user), void *user)
{
	uint64_t device;
	struct walk walk;

	list_begin(&walk, k, object_at(k, "net", net, "dev_base_head"),
		   object_offset(k, "net_device", "dev_list"));
	for (int n = 0; n < INTERFACES_MAX && list_next(&walk, &device); n++) {
		uint64_t len = object_u64(k, "net_device", device, "addr_len");
		uint64_t address = object_u64(k, "net_device", device, "dev_addr");
		struct interface_info i = {
			.index = (uint32_t)object_u64(k, "net_device", device, "ifindex"),
			.mtu = (uint32_t)object_u64(k, "net_device", device, "mtu"),
			.up = object_u64(k, "net_device", device, "flags") & FLAG_UP,
			.carrier =
				!(object_u64(k, "net_device", device, "state") >> STATE_NO_CARRIER &
				  1),
		};
		uint8_t bytes[20];

		object_text(k, "net_device", device, "name", i.name, sizeof(i.name));
		len = MIN(len, (uint64_t)sizeof(bytes));
		if (address && len > 0 && kernel_read(k, address, bytes, (size_t)len) == 0) {
			for (size_t b = 0; b < len; b++) {
				size_t at = strlen(i.hardware);

				snprintf(i.hardware + at, sizeof(i.hardware) - at, "%s%02x",
					 b ? ":" : "", bytes[b]);
			}
		}
		take_addresses(k, device, &i);
		each(&i, user);
	}
}

/* ---- sockets ---- */

static void end_point(struct kernel *k, uint64_t sock, bool six, bool remote,
		      char out[ADDRESS_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN];
	unsigned port;

	if (six) {
		ipv6(k,
		     object_at(k, "sock_common", sock,
			       remote ? "skc_v6_daddr" : "skc_v6_rcv_saddr"),
		     address);
	} else {
		ipv4(k, object_at(k, "sock_common", sock, remote ? "skc_daddr" : "skc_rcv_saddr"),
		     address);
	}
	port = remote ? ntohs((uint16_t)object_u64(k, "sock_common", sock, "skc_dport"))
		      : (unsigned)object_u64(k, "sock_common", sock, "skc_num");
	if (port == 0) {
		snprintf(out, ADDRESS_TEXT_MAX, six ? "[%s]:*" : "%s:*", address);
	} else {
		snprintf(out, ADDRESS_TEXT_MAX, six ? "[%s]:%u" : "%s:%u", address, port);
	}
}

static void read_inet(struct kernel *k, uint64_t sock, bool six, struct socket_info *s)
{
	uint64_t protocol = object_u64(k, "sock", sock, "sk_protocol");
	uint64_t state = object_u64(k, "sock_common", sock, "skc_state");

	end_point(k, sock, six, false, s->local);
	end_point(k, sock, six, true, s->peer);
	switch (protocol) {
	case PROTOCOL_TCP:
		snprintf(s->protocol, sizeof(s->protocol), "tcp%s", six ? "6" : "");
		snprintf(s->state, sizeof(s->state), "%s",
			 state < ARRAY_SIZE(tcp_states) ? tcp_states[state] : "?");
		if (state == TCP_LISTENS) {
			s->receive_queue = object_u64(k, "sock", sock, "sk_ack_backlog");
			s->send_queue = object_u64(k, "sock", sock, "sk_max_ack_backlog");
		} else if (state != 7) {
			s->receive_queue =
				(uint32_t)(object_u64(k, "tcp_sock", sock, "rcv_nxt") -
					   object_u64(k, "tcp_sock", sock, "copied_seq"));
			s->send_queue = (uint32_t)(object_u64(k, "tcp_sock", sock, "write_seq") -
						   object_u64(k, "tcp_sock", sock, "snd_una"));
		}
		return;
	case PROTOCOL_UDP:
		snprintf(s->protocol, sizeof(s->protocol), "udp%s", six ? "6" : "");
		break;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMP6:
		snprintf(s->protocol, sizeof(s->protocol), "icmp%s", six ? "6" : "");
		break;
	default:
		snprintf(s->protocol, sizeof(s->protocol), "ip%s:%u", six ? "6" : "",
			 (unsigned)protocol);
		break;
	}
	snprintf(s->state, sizeof(s->state), "%s", state == 1 ? "connected" : "-");
	s->receive_queue = object_u64(k, "sock", sock, "sk_backlog.rmem_alloc.counter");
	s->send_queue = object_u64(k, "sock", sock, "sk_wmem_alloc.refs.counter");
	s->send_queue -= s->send_queue > 0; /* one is the socket itself */
}

static void unix_name(struct kernel *k, uint64_t sock, char out[ADDRESS_TEXT_MAX])
{
	uint64_t address = object_u64(k, "unix_sock", sock, "addr"), len, at;
	uint8_t first;

	snprintf(out, ADDRESS_TEXT_MAX, "-");
	if (!address) {
		return;
	}
	len = object_u64(k, "unix_address", address, "len");
	at = object_at(k, "unix_address", address, "name") + 2; /* behind the family */
	if (len <= 2 || len > 200 || kernel_read(k, at, &first, 1) < 0) {
		return;
	}
	len = MIN(len - 2, (uint64_t)ADDRESS_TEXT_MAX - 2);
	if (first == 0) { /* abstract: begins with a NUL and has its length */
		out[0] = '@';
		if (kernel_read(k, at + 1, out + 1, (size_t)len - 1) < 0) {
			len = 1;
		}
		out[len] = '\0';
		text_clean(out, false);
	} else {
		kernel_text(k, at, out, (size_t)len + 1);
	}
}

static void read_unix(struct kernel *k, uint64_t sock, struct socket_info *s)
{
	uint64_t type = object_u64(k, "sock", sock, "sk_type");
	uint64_t state = object_u64(k, "sock_common", sock, "skc_state");
	uint64_t peer;

	snprintf(s->protocol, sizeof(s->protocol), "unix%s",
		 type == TYPE_DATAGRAM	  ? "-dgram"
		 : type == TYPE_SEQPACKET ? "-seq"
					  : "");
	snprintf(s->state, sizeof(s->state), "%s",
		 state == TCP_LISTENS ? "listening"
		 : state == 1	      ? "connected"
				      : "-");
	snprintf(s->peer, sizeof(s->peer), "-");
	if (!object_has(k, "unix_sock", "addr")) {
		return;
	}
	unix_name(k, sock, s->local);
	peer = object_u64(k, "unix_sock", sock, "peer");
	if (peer) {
		unix_name(k, peer, s->peer);
	}
	s->receive_queue = object_u64(k, "sock", sock, "sk_receive_queue.qlen");
}

void socket_read(struct kernel *k, uint64_t socket, struct socket_info *s)
{
	uint64_t sock = object_u64(k, "socket", socket, "sk");
	uint64_t family = sock ? object_u64(k, "sock_common", sock, "skc_family") : 0;

	*s = (struct socket_info){ .local = "-", .peer = "-", .state = "-" };
	s->inode = object_has(k, "socket_alloc", "vfs_inode")
			   ? object_u64(k, "socket_alloc", socket, "vfs_inode.i_ino")
			   : 0;
	switch (family) {
	case FAMILY_INET:
	case FAMILY_INET6:
		read_inet(k, sock, family == FAMILY_INET6, s);
		break;
	case FAMILY_UNIX:
		read_unix(k, sock, s);
		break;
	case FAMILY_NETLINK:
		snprintf(s->protocol, sizeof(s->protocol), "netlink");
		break;
	case FAMILY_PACKET:
		snprintf(s->protocol, sizeof(s->protocol), "packet");
		break;
	case FAMILY_VSOCK:
		snprintf(s->protocol, sizeof(s->protocol), "vsock");
		break;
	default:
		snprintf(s->protocol, sizeof(s->protocol), "family %u", (unsigned)family);
		break;
	}
}

/* ---- routes ---- */

struct routes {
	struct kernel *k;
	void (*each)(const struct route_info *r, void *user);
	void *user;
	unsigned n, steps;
};

static const char *const route_types[] = { "?",		"unicast",     "local",
					   "broadcast", "anycast",     "multicast",
					   "blackhole", "unreachable", "prohibit" };

static void take_leaf(struct routes *r, uint64_t leaf)
{
	struct kernel *k = r->k;
	uint32_t key = (uint32_t)object_u64(k, "key_vector", leaf, "key");
	struct walk walk;
	uint64_t alias;

	hlist_begin(&walk, k, object_at(k, "key_vector", leaf, "leaf"),
		    object_offset(k, "fib_alias", "fa_list"));
	while (r->n < ROUTES_MAX && list_next(&walk, &alias)) {
		uint64_t info = object_u64(k, "fib_alias", alias, "fa_info"), hop, device;
		uint64_t type = object_u64(k, "fib_alias", alias, "fa_type");
		uint64_t suffix = object_u64(k, "fib_alias", alias, "fa_slen");
		struct route_info route = { .gateway = "-", .device = "-" };
		uint32_t net = htonl(key);
		char text[INET6_ADDRSTRLEN];

		/* the local table may share the tree */
		if (object_u64(k, "fib_alias", alias, "tb_id") != TABLE_MAIN || suffix > 32) {
			continue;
		}
		r->n++;
		inet_ntop(AF_INET, &net, text, sizeof(text));
		if (suffix == 32) {
			snprintf(route.destination, sizeof(route.destination), "default");
		} else {
			snprintf(route.destination, sizeof(route.destination), "%.16s/%u", text,
				 32 - (unsigned)suffix);
		}
		snprintf(route.type, sizeof(route.type), "%s",
			 type < ARRAY_SIZE(route_types) ? route_types[type] : "?");
		route.metric = (uint32_t)object_u64(k, "fib_info", info, "fib_priority");
		hop = object_at(k, "fib_info", info, "fib_nh");
		if (hop && object_u64(k, "fib_info", info, "fib_nhs") > 0 &&
		    object_u64(k, "fib_info", info, "nh") == 0) {
			device = object_u64(k, "fib_nh_common", hop, "nhc_dev");
			if (device) {
				object_text(k, "net_device", device, "name", route.device,
					    sizeof(route.device));
			}
			if (object_u64(k, "fib_nh_common", hop, "nhc_gw_family") == FAMILY_INET) {
				ipv4(k, object_at(k, "fib_nh_common", hop, "nhc_gw.ipv4"), text);
				snprintf(route.gateway, sizeof(route.gateway), "%.16s", text);
			}
		}
		r->each(&route, r->user);
	}
}

static void take_node(struct routes *r, uint64_t node, unsigned depth)
{
	uint64_t bits = object_u64(r->k, "key_vector", node, "bits"), children;

	if (bits == 0) {
		take_leaf(r, node);
		return;
	}
	if (depth == 0 || bits > 20) {
		kernel_mark(r->k, "the table of routes makes no sense");
		return;
	}
	children = object_at(r->k, "key_vector", node, "tnode");
	for (uint64_t i = 0; i < (uint64_t)1 << bits && r->steps++ < STEPS_MAX; i++) {
		uint64_t child = kernel_u64(r->k, children + i * 8);

		if (child) {
			take_node(r, child, depth - 1);
		}
	}
}

void routes_each(struct kernel *k, uint64_t net,
		 void (*each)(const struct route_info *r, void *user), void *user)
{
	struct routes r = { k, each, user, 0 };
	uint64_t table, root;

	if (!object_has(k, "net", "ipv4.fib_main") || !object_has(k, "key_vector", "tnode")) {
		return;
	}
	table = object_u64(k, "net", net, "ipv4.fib_main");
	if (!table) {
		return;
	}
	/* the top of the tree is a node with one child */
	root = object_u64(k, "fib_table", table, "tb_data");
	root = root ? kernel_u64(k, root + object_offset(k, "key_vector", "tnode")) : 0;
	if (root) {
		take_node(&r, root, TRIE_DEPTH_MAX);
	}
}
