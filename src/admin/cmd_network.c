/* The network as the broker's host has it: names, interfaces, what resolves names. */
#include "admin/aside.h"
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"

#include "base/mem.h"
#include "meta/meta.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char *name_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

/* ---- names ---- */

struct lookup {
    char *host; /* owned */
    int family;
    int code;               /* of getaddrinfo */
    struct addrinfo *found; /* owned */
};

static void lookup_free(void *arg)
{
    struct lookup *l = arg;
    if (l->found)
        freeaddrinfo(l->found);
    free(l->host);
    free(l);
}

static void lookup_run(void *arg)
{
    struct lookup *l = arg;
    const struct addrinfo hints = {.ai_family = l->family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    l->code = getaddrinfo(l->host, NULL, &hints, &found);
    if (!l->code)
        l->found = found;
}

static void put_addresses(struct call *call, const struct lookup *l)
{
    struct buf json = BUF_INIT;
    char text[NI_MAXHOST];
    size_t count = 0;
    buf_append_str(&json, "{\"result\":\"ok\",\"node\":");
    cell_put_string(&json, slice_str(name_of(call)));
    buf_append_str(&json, ",\"hostname\":");
    cell_put_string(&json, slice_str(l->host));
    buf_printf(&json, ",\"address_family\":\"%s\",\"addresses\":[",
               l->family == AF_INET ? "IPv4" : "IPv6");
    for (const struct addrinfo *a = l->found; a; a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST))
            continue;
        if (!call->request.typed)
            call_print(call, "%s", text);
        buf_printf(&json, "%s\"%s\"", count++ ? "," : "", text);
    }
    buf_append_str(&json, "]}");
    if (call->request.typed)
        call_value(call, buf_slice(&json));
    buf_fini(&json);
}

static void on_looked_up(struct call *call, const void *arg)
{
    const struct lookup *l = arg;
    if (l->code) {
        bool unknown = l->code == EAI_NONAME || l->code == EAI_NODATA || l->code == EAI_ADDRFAMILY;
        call_fail(call, EX_DATAERR, "Hostname does not resolve (resolution failed with %s)",
                  unknown ? "an nxdomain" : gai_strerror(l->code));
    } else {
        put_addresses(call, l);
        call_exit(call);
    }
}

static const struct aside_work lookup_work = {lookup_run, on_looked_up, lookup_free};

void run_resolve_hostname(struct call *call)
{
    const char *host = call->args.words[0], *family = call_option(call, OPT_FAMILY, "IPv4");
    bool v4 = !strcasecmp(family, "ipv4");
    if (!v4 && strcasecmp(family, "ipv6") != 0) {
        call_refuse(call, EX_DATAERR,
                    "Bad argument: unsupported IP address family %s. Valid values are: ipv4, ipv6",
                    family);
        return;
    }
    call_banner(call, "Asking node %s to resolve hostname %s to %s addresses...", name_of(call),
                host, family);
    if (call_is_dry(call))
        return;
    struct lookup *l = NEW(struct lookup);
    l->host = mem_strdup(host);
    l->family = v4 ? AF_INET : AF_INET6;
    aside_start(call, &lookup_work, l);
}

/* The system's library looks, which has no cache and no hosts of the runtime's own. */
void run_resolver_info(struct call *call)
{
    call_banner(call,
                "Asking node %s for its effective hostname resolver (inetrc) configuration...",
                name_of(call));
    if (call->request.typed) {
        struct buf json = BUF_INIT;
        buf_append_str(&json, "{\"result\":\"ok\",\"node\":");
        cell_put_string(&json, slice_str(name_of(call)));
        buf_append_str(&json, ",\"resolver\":{\"lookup\":\"native\",\"hosts_file\":\"/etc/hosts\","
                              "\"resolv_conf\":\"/etc/resolv.conf\"}}");
        call_value(call, buf_slice(&json));
        buf_fini(&json);
    } else {
        call_print(call, "Runtime Hostname Resolver (inetrc) Settings\n\nLookup order: native\n"
                         "Hosts file: /etc/hosts\nResolver conf file: /etc/resolv.conf\n"
                         "Cache size: \n\ninetrc File Host Entries\n\n(none)");
    }
    call_exit(call);
}

/* ---- interfaces ---- */

/* name and value of one thing that is known of an interface */
struct property {
    const char *name;
    char value[NI_MAXHOST];
};

enum { PROPERTIES_MAX = 256 };
struct properties {
    struct property list[PROPERTIES_MAX];
    size_t count;
};

static void add_property(struct properties *p, const char *name, const char *value)
{
    if (p->count == PROPERTIES_MAX)
        return;
    struct property *property = &p->list[p->count++];
    property->name = name;
    snprintf(property->value, sizeof property->value, "%s", value);
}

static void add_flags(struct properties *p, unsigned flags)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{IFF_UP, "up"},
                 {IFF_BROADCAST, "broadcast"},
                 {IFF_LOOPBACK, "loopback"},
                 {IFF_POINTOPOINT, "pointtopoint"},
                 {IFF_RUNNING, "running"},
                 {IFF_MULTICAST, "multicast"}};
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (flags & names[i].bit)
            buf_printf(&text, "%s%s", text.len ? ", " : "", names[i].name);
    }
    add_property(p, "flags", buf_cstr(&text));
    buf_fini(&text);
}

static void add_address(struct properties *p, const char *name, const struct sockaddr *address)
{
    socklen_t length =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    char text[NI_MAXHOST];
    if (getnameinfo(address, length, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0) {
        text[strcspn(text, "%")] = '\0'; /* the interface is named already */
        add_property(p, name, text);
    }
}

/* As RabbitMQ does, without leading zeros. */
static void add_hardware(struct properties *p, const struct sockaddr *address)
{
    const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)address;
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < link->sll_halen && i < sizeof link->sll_addr; i++)
        buf_printf(&text, "%s%X", i ? ":" : "", link->sll_addr[i]);
    add_property(p, "hwaddr", buf_cstr(&text));
    buf_fini(&text);
}

static bool is_internet(const struct sockaddr *address)
{
    return address && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

static void add_of(struct properties *p, const struct ifaddrs *a)
{
    if (is_internet(a->ifa_addr)) {
        add_address(p, "addr", a->ifa_addr);
        if (is_internet(a->ifa_netmask))
            add_address(p, "netmask", a->ifa_netmask);
        if (a->ifa_flags & IFF_BROADCAST && is_internet(a->ifa_broadaddr))
            add_address(p, "broadaddr", a->ifa_broadaddr);
        if (a->ifa_flags & IFF_POINTOPOINT && is_internet(a->ifa_dstaddr))
            add_address(p, "dstaddr", a->ifa_dstaddr);
    } else if (a->ifa_addr && a->ifa_addr->sa_family == AF_PACKET) {
        add_hardware(p, a->ifa_addr);
    }
}

static bool is_first(const struct ifaddrs *all, const struct ifaddrs *a)
{
    while (strcmp(all->ifa_name, a->ifa_name) != 0)
        all = all->ifa_next;
    return all == a;
}

/* Flags first, the hardware's address last. */
static void gather(const struct ifaddrs *all, const char *name, struct properties *p)
{
    p->count = 0;
    for (unsigned hardware = 0; hardware < 2; hardware++) {
        for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
            if (strcmp(a->ifa_name, name) != 0)
                continue;
            if (!p->count)
                add_flags(p, a->ifa_flags);
            if ((a->ifa_addr && a->ifa_addr->sa_family == AF_PACKET) == (hardware != 0))
                add_of(p, a);
        }
    }
}

/* The last that is known comes first. */
static void put_text(struct buf *out, const char *name, const struct properties *p)
{
    buf_printf(out, "%sInterface %s\n\n", out->len ? "\n" : "", name);
    for (size_t i = p->count; i-- > 0;)
        buf_printf(out, "%s: %s\n", p->list[i].name, p->list[i].value);
    buf_append_byte(out, '\n');
}

static void put_json(struct buf *out, const char *name, const struct properties *p)
{
    if (out->data[out->len - 1] != '{')
        buf_append_byte(out, ',');
    cell_put_string(out, slice_str(name));
    buf_append_byte(out, ':');
    for (size_t i = 0; i < p->count; i++)
        buf_printf(out, "%s\"%s\":\"%s\"", i ? "," : "{", p->list[i].name, p->list[i].value);
    buf_append_byte(out, '}');
}

static void put_interfaces(struct call *call, const struct ifaddrs *all)
{
    struct properties *p = mem_zalloc(sizeof *p);
    struct buf text = BUF_INIT, json = BUF_INIT;
    buf_append_str(&json, "{\"result\":\"ok\",\"message\":\"Node ");
    buf_printf(&json, "%s reported network interfaces\",\"interfaces\":{", name_of(call));
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        if (!is_first(all, a))
            continue;
        gather(all, a->ifa_name, p);
        put_text(&text, a->ifa_name, p);
        put_json(&json, a->ifa_name, p);
    }
    buf_append_str(&json, "}}");
    if (call->request.typed)
        call_value(call, buf_slice(&json));
    else if (text.len)
        call_print_slice(call, buf_slice(&text));
    else
        call_print(call, "Node %s reported no network interfaces", name_of(call));
    buf_fini(&text);
    buf_fini(&json);
    free(p);
}

void run_list_network_interfaces(struct call *call)
{
    struct ifaddrs *all = NULL;
    call_banner(call, "Asking node %s to report its network interfaces ...", name_of(call));
    if (getifaddrs(&all) != 0) {
        call_fail(call, EX_OSERR, "the system does not tell its interfaces");
        return;
    }
    put_interfaces(call, all);
    freeifaddrs(all);
    call_exit(call);
}
