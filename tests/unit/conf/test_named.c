/* Lists whose items have names: as a mapping, with dots, as a list, from several sources. */
#include "rig.h"

static const struct conf *load(const char *yaml)
{
    struct buf problems = BUF_INIT;
    const struct conf *conf = rig_load(slice_str(yaml), &problems);
    cr_assert_not_null(conf, "%s\n%s", yaml, buf_cstr(&problems));
    buf_fini(&problems);
    return conf;
}

/* All ways to write the same. */
UNIT(named, spellings)
{
    static const char *const same[] = {
        "default_users: {a: {configure: c, tags: [x, y]}, b: {write: w}}\n"
        "default_limits: {vhosts: {1: {pattern: ^v, max_queues: 5}}}\n",
        "default_users.a.configure: c\ndefault_users.b.write: w\ndefault_users.a.tags: [x, y]\n"
        "default_limits.vhosts.1.pattern: ^v\ndefault_limits.vhosts.1.max_queues: 5\n",
        "default_users:\n  a:\n    tags: [x, y]\n    configure: c\ndefault_users.b: {write: w}\n"
        "default_limits:\n  vhosts.1: {pattern: ^v}\n  vhosts.1.max_queues: 5\n",
        "default_users: [{name: a, configure: c, tags: [x, y]}, {name: b, write: w}]\n"
        "default_limits.vhosts: [{name: 1, pattern: ^v, max_queues: 5}]\n",
    };
    struct buf dump = BUF_INIT;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const struct conf *conf = load(same[i]);
        cr_assert_eq(conf->default_users.count, 2);
        const struct conf_default_user *a = &conf->default_users.items[0];
        cr_assert_str_eq(a->name, "a");
        cr_assert_str_eq(a->configure, "c");
        cr_assert_str_eq(a->write, ".*");
        cr_assert_str_eq(a->vhost_pattern, ".*");
        cr_assert_str_eq(a->password, "");
        cr_assert_eq(a->tags.count, 2);
        cr_assert_not_null(strstr(a->origin, "a.yaml:"));
        cr_assert_str_eq(conf->default_users.items[1].write, "w");
        cr_assert_eq(conf->default_limits.count, 1);
        cr_assert_eq(conf->default_limits.items[0].max_queues, 5);
        cr_assert_eq(conf->default_limits.items[0].max_connections, CONF_UNLIMITED);
        /* what is printed reads as the same again */
        conf_dump(conf, &dump);
        const struct conf *again = load(buf_cstr(&dump));
        cr_assert_eq(again->default_users.count, 2);
        cr_assert_str_eq(again->default_users.items[0].tags.items[1], "y");
        cr_assert_eq(again->default_limits.items[0].max_connections, CONF_UNLIMITED);
        buf_clear(&dump);
        conf_unref(&again);
        conf_unref(&conf);
    }
    buf_fini(&dump);
}

UNIT(named, values_of_policies)
{
    const struct conf *conf = load("default_policies:\n  operator:\n    p:\n"
                                   "      vhost_pattern: ^v\n      queue_pattern: ^q\n"
                                   "      apply_to: quorum_queues\n      expires: 1h\n"
                                   "      message_ttl: 0\n      max_length: 5000000000\n"
                                   "      max_length_bytes: 1GB\n      delivery_limit: infinity\n"
                                   "      classic_queues.ha_mode: exactly\n"
                                   "      classic_queues: {ha_params: 2, queue_version: 2}\n"
                                   "    q: {expires: 365d}\n");
    cr_assert_eq(conf->default_policies.count, 2);
    const struct conf_default_policy *p = &conf->default_policies.items[0];
    cr_assert_str_eq(p->name, "p");
    cr_assert_str_eq(p->queue_pattern, "^q");
    cr_assert_str_eq(p->apply_to, "quorum_queues");
    cr_assert_eq(p->expires_ms, 3600000);
    cr_assert_eq(p->message_ttl_ms, 0);
    cr_assert_eq(p->max_length, 5000000000ull);
    cr_assert_eq(p->max_length_bytes, 1000000000);
    cr_assert_eq(p->max_in_memory_bytes, CONF_UNLIMITED);
    cr_assert_eq(p->delivery_limit, CONF_UNLIMITED);
    cr_assert_str_eq(p->classic.ha_mode, "exactly");
    cr_assert_eq(p->classic.ha_params.count, 1);
    cr_assert_str_eq(p->classic.queue_version, "2");
    cr_assert_eq(conf->default_policies.items[1].expires_ms, 365ull * 86400000);
    conf_unref(&conf);
}

UNIT(named, problems)
{
    static const struct {
        const char *yaml, *problem;
    } cases[] = {
        {"default_users: {a: {reed: x}}\n", "a.yaml:1: unknown key 'reed'; did you mean 'read'?\n"},
        {"default_users.a.reed: x\n", "a.yaml:1: unknown key 'reed'; did you mean 'read'?\n"},
        {"default_users.a: x\n",
         "a.yaml:1: default_users.a: expected a mapping, not a single value\n"},
        {"default_users: {a: [x]}\n",
         "a.yaml:1: default_users.a: expected a mapping, not a list\n"},
        {"default_users: {[a]: {}}\n",
         "a.yaml:1: default_users: a name is a single value, not a list\n"},
        {"default_users.a.read: x\ndefault_users.a.read: y\n",
         "a.yaml:2: 'default_users[].read' is there twice, first on line 1\n"},
        {"default_users.a.read: x\ndefault_users: {a: {read: y}}\n",
         "a.yaml:2: 'default_users[].read' is there twice, first on line 1\n"},
        {"default_users: {a: {name: b}}\n",
         "a.yaml:1: 'default_users[].name' is there twice, first on line 1\n"},
        {"default_users: [{read: x}]\n", "a.yaml:1: default_users[]: 'name' is missing\n"},
        {"default_users: [{name: a}, {name: a}]\n",
         "a.yaml:1: default_users 'a' is already at a.yaml:1\n"},
        {"default_users: {'': {}}\n", "a.yaml:1: default_users[].name: '' may not be empty\n"},
        {"default_limits.vhosts.1.max_queues: 0\n",
         "a.yaml:1: default_limits.vhosts[].max_queues: '0' is out of range, at least 1\n"},
        {"default_limits.vhosts.1.max_queues: many\n",
         "a.yaml:1: default_limits.vhosts[].max_queues: 'many' is neither a whole number nor "
         "infinity\n"},
        {"default_limits.vhost.1.max_queues: 1\n", "a.yaml:1: unknown key"},
        {"default_policies.operator.p.apply_to: exchange\n",
         "a.yaml:1: default_policies.operator[].apply_to: 'exchange' is not one of: all, queues, "
         "classic_queues, quorum_queues, streams, exchanges\n"},
        {"default_policies.operator.p.classic_queues.queue_version: 3\n",
         "a.yaml:1: default_policies.operator[].classic_queues.queue_version: '3' is not one of: "
         "1, 2\n"},
        {"default_policies.operator.p.vhost_pattern: ''\n",
         "a.yaml:1: default_policies.operator[].vhost_pattern: '' may not be empty\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf problems = BUF_INIT;
        const struct conf *conf = rig_load(slice_str(cases[i].yaml), &problems);
        cr_expect_null(conf, "%s", cases[i].yaml);
        const char *text = buf_cstr(&problems), *where = strstr(text, "/a.yaml:1\n");
        if (where && strstr(text, "is already at")) /* the directory has a name of its own */
            cr_expect_not_null(strstr(text, "a.yaml:1: default_users 'a' is already at"));
        else
            cr_expect_eq(strncmp(text, cases[i].problem, strlen(cases[i].problem)), 0, "%s: %s",
                         cases[i].yaml, text);
        conf_unref(&conf);
        buf_fini(&problems);
    }
}

UNIT(named, too_many)
{
    struct buf yaml = BUF_INIT, problems = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        buf_printf(&yaml, "default_users.u%d.read: x%d\n", i, i);
    const struct conf *conf = load(buf_cstr(&yaml));
    cr_assert_eq(conf->default_users.count, 1000);
    cr_assert_str_eq(conf->default_users.items[567].read, "x567");
    conf_unref(&conf);
    buf_printf(&yaml, "default_users.u0.write: y\ndefault_users.more.read: x\n");
    cr_assert_null(rig_load(buf_slice(&yaml), &problems));
    cr_assert_str_eq(buf_cstr(&problems), "a.yaml:1002: default_users: has more than 1000 items\n");
    buf_fini(&yaml);
    buf_fini(&problems);
}

/* A later source changes single keys of an item, and adds items. */
UNIT(named, several_sources)
{
    static const char *const names[] = {"a.yaml", "conf.d/1.yaml"};
    const struct conf *conf = NULL;
    struct buf problems = BUF_INIT;
    rig_open();
    rig_write("conf.d/1.yaml", SLICE("default_users.a.read: other\ndefault_users: {b: {}}\n"));
    rig_write("a.yaml", SLICE("default_users: {a: {read: r, write: w}}\n"));
    struct conf_sources sources = {.file = rig_path("a.yaml")};
    enum err err = conf_load(&sources, &conf, &problems);
    cr_assert_eq(err, ERR_NONE, "%s", buf_cstr(&problems));
    cr_assert_eq(conf->default_users.count, 2);
    cr_assert_str_eq(conf->default_users.items[0].read, "other");
    cr_assert_str_eq(conf->default_users.items[0].write, "w");
    cr_assert_str_eq(conf->default_users.items[1].name, "b");
    conf_unref(&conf);
    buf_fini(&problems);
    rig_close(names, 2);
}
