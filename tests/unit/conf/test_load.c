#include "rig.h"

UNIT(load, runs_with_nothing)
{
    const struct conf *conf = NULL;
    struct buf problems = BUF_INIT;
    const struct conf_sources none = {0};
    cr_assert_eq(conf_load(&none, &conf, &problems), ERR_NONE, "%s", buf_cstr(&problems));
    cr_assert_str_eq(conf->data_dir, "./var");
    cr_assert_str_eq(conf->control.path, "./var/control.sock");
    cr_assert_eq(conf->control.mode, 0600);
    cr_assert_eq(conf->listeners.count, 1);
    cr_assert_str_eq(conf->listeners.items[0].address, "127.0.0.1:5672");
    cr_assert_str_eq(conf->listeners.items[0].origin, "default");
    cr_assert_eq(conf->amqp.channel_max, 2047);
    cr_assert_eq(conf->amqp.frame_max, 131072);
    cr_assert_eq(conf->amqp.initial_frame_max, 8192);
    cr_assert_eq(conf->amqp.heartbeat_s, 60);
    cr_assert_eq(conf->amqp.handshake_timeout_ms, 10000);
    cr_assert_eq(conf->amqp.max_message_size, 128u << 20);
    cr_assert_str_eq(conf->default_user, "guest");
    cr_assert_str_eq(conf->default_pass, "guest");
    cr_assert_str_eq(conf->default_vhost, "/");
    cr_assert_eq(conf->loopback_users.count, 1);
    cr_assert_float_eq(conf->vm_memory_high_watermark.relative, 0.6, 1e-9);
    cr_assert_eq(strncmp(conf->node_name, "jackalope@", 10), 0);
    cr_assert_eq(conf_log_level(conf, LOG_CHANNEL), LOG_INFO_);
    cr_assert_gt(conf_memory_watermark(conf), 0);
    cr_assert_leq(conf_memory_watermark(conf), conf_memory_total(conf));
    cr_assert_not_null(conf_tls_find(conf, ""));
    cr_assert_null(conf_tls_find(conf, "x"));
    const struct conf *same = conf_ref(conf);
    conf_unref(&same);
    cr_assert_null(same);
    conf_unref(&conf);
    buf_fini(&problems);
}

/* Every text of a fresh configuration is there, so that nobody has to look for NULL. */
UNIT(load, texts_are_never_null)
{
    const struct conf *conf =
        rig_load(SLICE("tls_sets: [{name: x, certificates: [{certfile: a, keyfile: b}]}]\n"
                       "definitions:\n"
                       "  vhosts: [v]\n  users: [{name: u}]\n  permissions: [{user: u}]\n"
                       "  topic_permissions: [{user: u, exchange: e}]\n  exchanges: [{name: e}]\n"
                       "  queues: [{name: q}]\n  bindings: [{source: e, destination: q}]\n"),
                 NULL);
    cr_assert_not_null(conf);
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &row_table[i];
        const char *bracket = strchr(row->path, '[');
        const void *base = conf;
        char list_path[128];
        while (bracket) { /* the first item of each list on the way */
            snprintf(list_path, sizeof list_path, "%.*s", (int)(bracket - row->path), row->path);
            const struct row *list = row_find(slice_str(list_path));
            const struct any_list *items = row_field_const(list, base);
            base = items->count ? items->items : NULL;
            if (!base)
                break;
            cr_assert_not_null(*(const char *const *)base, "origin of %s", list_path);
            bracket = strchr(bracket + 1, '[');
        }
        if (base && (row->type == ROW_TEXT || row->type == ROW_PATH))
            cr_assert_not_null(*(const char *const *)row_field_const(row, base), "%s", row->path);
    }
    conf_unref(&conf);
}

UNIT(load, reads_every_kind)
{
    const struct conf *conf = rig_load(
        SLICE("node_name: rabbit@here\n"
              "amqp:\n  heartbeat: 2min\n  frame_max: 64KiB\n"
              "amqp.channel_max: 10\n"
              "log: {level: warning, connection: {level: debug}, file: /tmp/x.log}\n"
              "loopback_users: []\n"
              "auth_mechanisms: EXTERNAL\n"
              "vm_memory_high_watermark: 100MB\n"
              "listeners:\n  - 127.0.0.1:1\n  - address: unix:/tmp/x\n    backlog: 5\n"
              "    proxy_protocol: yes\n"
              "definitions:\n"
              "  vhosts: [/, {name: v, tags: [a, b], description: d}]\n"
              "  queues:\n"
              "    - name: q\n      vhost: v\n      durable: false\n"
              "      arguments: {i: 10, n: -3, d: 1.5, e: 1e3, b: true, t: text, s: '5', v: ~,\n"
              "                  huge: 99999999999999999999, w: 5x}\n"
              "  bindings: [{source: amq.topic, destination: q, destination_type: exchange,"
              " routing_key: a.b}]\n"),
        NULL);
    cr_assert_not_null(conf);
    cr_assert_str_eq(conf->node_name, "rabbit@here");
    cr_assert_eq(conf->amqp.heartbeat_s, 120);
    cr_assert_eq(conf->amqp.frame_max, 65536);
    cr_assert_eq(conf->amqp.channel_max, 10);
    cr_assert_eq(conf_log_level(conf, LOG_CONNECTION), LOG_DEBUG_);
    cr_assert_eq(conf_log_level(conf, LOG_QUEUE), LOG_WARNING_);
    cr_assert_eq(conf->log.output, LOG_OUTPUT_FILE);
    cr_assert_eq(conf->loopback_users.count, 0);
    cr_assert_eq(conf->auth_mechanisms.count, 1);
    cr_assert_eq(conf_memory_watermark(conf), 100000000);
    cr_assert_eq(conf->listeners.count, 2);
    cr_assert_eq(conf->listeners.items[1].backlog, 5);
    cr_assert(conf->listeners.items[1].proxy_protocol);
    cr_assert_not_null(strstr(conf->listeners.items[1].origin, "/a.yaml:12"));
    const struct conf_definitions *d = &conf->definitions;
    cr_assert_eq(d->vhosts.count, 2);
    cr_assert_str_eq(d->vhosts.items[1].tags.items[1], "b");
    const struct conf_args *args = &d->queues.items[0].arguments;
    cr_assert_not(d->queues.items[0].durable);
    cr_assert_eq(args->count, 10);
    cr_assert(args->items[0].type == CONF_ARG_INT && args->items[0].integer == 10);
    cr_assert(args->items[1].type == CONF_ARG_INT && args->items[1].integer == -3);
    cr_assert(args->items[2].type == CONF_ARG_DOUBLE && args->items[2].real == 1.5);
    cr_assert(args->items[3].type == CONF_ARG_DOUBLE && args->items[3].real == 1000);
    cr_assert(args->items[4].type == CONF_ARG_BOOL && args->items[4].boolean);
    cr_assert(args->items[5].type == CONF_ARG_TEXT && !strcmp(args->items[5].text, "text"));
    cr_assert(args->items[6].type == CONF_ARG_TEXT && !strcmp(args->items[6].text, "5"));
    cr_assert_eq(args->items[7].type, CONF_ARG_VOID);
    cr_assert_eq(args->items[8].type, CONF_ARG_DOUBLE);
    cr_assert_eq(args->items[9].type, CONF_ARG_TEXT);
    cr_assert(d->bindings.items[0].to_exchange);
    cr_assert_str_eq(d->bindings.items[0].vhost, "/");
    conf_unref(&conf);
}

/* One problem each: the whole line is what the user sees. */
UNIT(load, problems_name_line_and_remedy)
{
    static const struct {
        const char *yaml, *problem;
    } cases[] = {
        {"amqp:\n  hartbeat: 5\n",
         "a.yaml:2: unknown key 'hartbeat' in 'amqp'; did you mean 'heartbeat'?\n"},
        {"segments_max: 5\n",
         "a.yaml:1: unknown key 'segments_max'; did you mean 'journal.segments_max'?\n"},
        {"log:\n  conection: {level: info}\n",
         "a.yaml:2: unknown key 'conection' in 'log'; did you mean 'connection'?\n"},
        {"listeners:\n  - adress: 'x:1'\n    address: 'y:1'\n",
         "a.yaml:2: unknown key 'adress'; did you mean 'address'?\n"},
        {"zzzzzz: 1\n", "a.yaml:1: unknown key 'zzzzzz'\n"},
        {"'listeners[].address': x\n", "a.yaml:1: unknown key 'listeners[].address'\n"},
        {"'tls_sets[].name': x\n", "a.yaml:1: unknown key 'tls_sets[].name'\n"},
        {"? [a]\n: b\n", "a.yaml:1: a key is a single value, not a list\n"},
        {"- a\n", "a.yaml:1: expected a mapping of keys, not a list\n"},
        {"shards: many\n", "a.yaml:1: shards: 'many' is not a whole number\n"},
        {"shards: 65\n", "a.yaml:1: shards: '65' is out of range, 0 to 64\n"},
        {"shards:\n", "a.yaml:1: shards: has no value (\"\" is the empty text)\n"},
        {"shards: [1]\n", "a.yaml:1: shards: expected a single value, not a list\n"},
        {"shards: 1\nshards: 2\n", "a.yaml:2: 'shards' is there twice, first on line 1\n"},
        {"amqp: {heartbeat: 1}\namqp.heartbeat: 2\n",
         "a.yaml:2: 'amqp.heartbeat' is there twice, first on line 1\n"},
        {"amqp: 5\n", "a.yaml:1: amqp: expected a mapping, not a single value\n"},
        {"amqp.frame_max: 100\n",
         "a.yaml:1: amqp.frame_max: '100' is out of range, 0 or at least 4096\n"},
        {"default_pass: \"\\xff\\0\"\n", "a.yaml:1: default_pass: is not a value this key takes\n"},
        {"default_pass: ''\n",
         "a.yaml:1: default_pass: may not be empty while there is a default_user\n"},
        {"auth_mechanisms: [PLAIN, MAGIC]\n",
         "a.yaml:1: auth_mechanisms: 'MAGIC' is not one of: "
         "PLAIN, AMQPLAIN, ANONYMOUS, EXTERNAL, RABBIT-CR-DEMO\n"},
        {"auth_mechanisms: []\n", "a.yaml:1: auth_mechanisms: is empty\n"},
        {"listeners: 5\n", "a.yaml:1: listeners: expected a list, not a single value\n"},
        {"listeners: [{tls: true}]\n", "a.yaml:1: listeners[]: 'address' is missing\n"},
        {"listeners: [localhost]\n",
         "a.yaml:1: 'localhost' is not an address such as 127.0.0.1:5672, [::1]:5672, :5672 or "
         "unix:/path\n"},
        {"listeners: ['a:1', 'a:1']\n", "a.yaml:1: address a:1 is there twice\n"},
        {"listeners: [{address: 'a:1', tls: true}]\n",
         "a.yaml:1: tls needs a certificate in ssl_options\n"},
        {"listeners: [{address: 'a:1', tls: true, tls_set: x}]\n",
         "a.yaml:1: there is no item 'x' in tls_sets\n"},
        {"listeners: [{address: 'a:1', tls_set: x}]\n",
         "a.yaml:1: tls_set is given, but tls is not true\n"},
        {"ssl_options.certfile: c\n", "a.yaml:1: certfile and keyfile go together\n"},
        {"ssl_options.verify: verify_peer\n", "a.yaml:1: verify_peer needs a cacertfile\n"},
        {"ssl_options.fail_if_no_peer_cert: true\n",
         "a.yaml:1: fail_if_no_peer_cert needs verify: verify_peer\n"},
        {"ssl_options.min_version: 1.1\n",
         "a.yaml:1: ssl_options.min_version: '1.1' is not one of: 1.2, 1.3\n"},
        {"log.output: file\n", "a.yaml:1: log.output: file needs log.file\n"},
        {"definitions: {users: [{name: u, password: a, password_hash: b}]}\n",
         "a.yaml:1: user 'u': give password or password_hash\n"},
        {"definitions: {users: [{name: u, password_hash: b}]}\n",
         "a.yaml:1: user 'u': password_hash is not base64 of a salt and a digest of "
         "rabbit_password_hashing_sha256\n"},
        {"definitions:\n  queues:\n    - name: q\n    - name: q\n",
         "a.yaml:4: queue 'q' of '/' is already at "},
        {"definitions: {queues: [{name: q, arguments: {a: [1]}}]}\n",
         "a.yaml:1: definitions.queues[].arguments: argument 'a': expected a single value, not a "
         "list\n"},
        {"definitions: {queues: [{name: q, arguments: {a: 1, a: 2}}]}\n",
         "a.yaml:1: definitions.queues[].arguments: argument 'a' is there twice\n"},
        {"definitions: {queues: [q]}\n",
         "a.yaml:1: definitions.queues[]: expected a mapping, not a single value\n"},
        {"a\x01: 1\n", "a.yaml:1: not YAML: "},
        {"\"a\\nb\": 1\n", "a.yaml:1: unknown key 'a?b'\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf problems = BUF_INIT;
        cr_assert_null(rig_load(slice_str(cases[i].yaml), &problems), "case %zu", i);
        size_t n = strlen(cases[i].problem);
        bool whole = cases[i].problem[n - 1] == '\n';
        cr_assert(strncmp(buf_cstr(&problems), cases[i].problem, n) == 0 &&
                      (!whole || problems.len == n),
                  "case %zu: %s", i, buf_cstr(&problems));
        buf_fini(&problems);
    }
}

UNIT(load, all_problems_are_told_up_to_a_bound)
{
    struct buf yaml = BUF_INIT, problems = BUF_INIT;
    cr_assert_null(rig_load(SLICE("a: 1\nshards: x\nb: 2\n"), &problems));
    cr_assert_not_null(strstr(buf_cstr(&problems), ":1:"));
    cr_assert_not_null(strstr(buf_cstr(&problems), ":2:"));
    cr_assert_not_null(strstr(buf_cstr(&problems), ":3:"));
    for (int i = 0; i < 10000; i++)
        buf_printf(&yaml, "key%d: 1\n", i);
    buf_clear(&problems);
    cr_assert_null(rig_load(buf_slice(&yaml), &problems));
    unsigned lines = 0;
    for (size_t i = 0; i < problems.len; i++)
        lines += problems.data[i] == '\n';
    cr_assert_eq(lines, PROBLEMS_MAX + 1);
    cr_assert_not_null(strstr(buf_cstr(&problems), "... and more\n"));
    buf_fini(&yaml);
    buf_fini(&problems);
}

UNIT(load, aliases_cannot_multiply)
{
    struct buf yaml = BUF_INIT, problems = BUF_INIT;
    buf_append_str(&yaml, "definitions:\n  queues:\n    - name: q\n      arguments: &a {");
    for (int i = 0; i < 60; i++)
        buf_printf(&yaml, "k%d: 1, ", i);
    buf_append_str(&yaml, "}\n");
    for (int i = 0; i < 50000; i++)
        buf_printf(&yaml, "    - {name: q%d, arguments: *a}\n", i);
    cr_assert_null(rig_load(buf_slice(&yaml), &problems));
    cr_assert_not_null(strstr(buf_cstr(&problems), "aliases multiply"), "%s", buf_cstr(&problems));
    buf_clear(&yaml);
    buf_clear(&problems);
    buf_append_str(&yaml, "definitions:\n  vhosts:\n    - name: v\n      description: &a \"");
    for (int i = 0; i < 50000; i++)
        buf_append_byte(&yaml, 'x');
    buf_append_str(&yaml, "\"\n");
    for (int i = 0; i < 50000; i++)
        buf_printf(&yaml, "    - {name: v%d, description: *a}\n", i);
    cr_assert_null(rig_load(buf_slice(&yaml), &problems));
    cr_assert_not_null(strstr(buf_cstr(&problems), "aliases multiply"), "%s", buf_cstr(&problems));
    buf_fini(&yaml);
    buf_fini(&problems);
}

UNIT(load, later_sources_win)
{
    static const char *const names[] = {"a.yaml", "conf.d/10.yaml", "conf.d/20.yaml",
                                        "conf.d/30.txt"};
    static const char *const environment[] = {"HOME=/root",
                                              "JACKALOPE_AMQP_HEARTBEAT=4",
                                              "JACKALOPE_SHARDS=4",
                                              "JACKALOPE_LOOPBACK_USERS=x,y",
                                              "JACKALOPE_LISTENERS=127.0.0.1:4,127.0.0.1:5",
                                              "JACKALOPE_PORT_5672_TCP=tcp://10.0.0.1:5672",
                                              "JACKALOPE_CONFIG=/ignored/here",
                                              NULL};
    static const struct conf_setting settings[] = {{"shards", "5"},
                                                   {"listen", "127.0.0.1:6"},
                                                   {"listen", "127.0.0.1:7"},
                                                   {"amqp.max_message_size", "1MiB"}};
    const struct conf *conf = NULL;
    struct buf problems = BUF_INIT;
    rig_open();
    rig_write(names[0], SLICE("amqp: {channel_max: 1, frame_max: 0, heartbeat: 1}\n"
                              "amqp.initial_frame_max: 5000\nshards: 1\n"
                              "listeners: ['127.0.0.1:1']\n"
                              "definitions: {vhosts: [a]}\n"));
    rig_write(names[1], SLICE("amqp: {frame_max: 2MB, heartbeat: 2}\nshards: 2\n"
                              "definitions: {vhosts: [b]}\nlisteners: ['127.0.0.1:2']\n"));
    rig_write(names[2], SLICE("amqp: {heartbeat: 3}\nshards: 3\n"));
    rig_write(names[3], SLICE("not read"));
    struct conf_sources sources = {rig_path("a.yaml"), environment, settings,
                                   sizeof settings / sizeof *settings};
    cr_assert_eq(conf_load(&sources, &conf, &problems), ERR_NONE, "%s", buf_cstr(&problems));
    cr_assert_eq(conf->amqp.channel_max, 1);
    cr_assert_eq(conf->amqp.frame_max, 2000000);
    cr_assert_eq(conf->amqp.heartbeat_s, 4);
    cr_assert_eq(conf->shards, 5);
    cr_assert_eq(conf->loopback_users.count, 2);
    cr_assert_eq(conf->listeners.count, 2);
    cr_assert_str_eq(conf->listeners.items[0].address, "127.0.0.1:6");
    cr_assert_str_eq(conf->listeners.items[0].origin, "--listen");
    cr_assert_eq(conf->definitions.vhosts.count, 2);
    cr_assert_eq(conf->amqp.max_message_size, 1u << 20);
    conf_unref(&conf);
    rig_close(names, 4);
    buf_fini(&problems);
}

UNIT(load, bad_settings_and_variables)
{
    static const struct {
        const char *variable;
        struct conf_setting setting;
        const char *problem;
    } cases[] = {
        {"JACKALOPE_SHARDS=x",
         {"shards", "1"},
         "environment JACKALOPE_SHARDS: shards: 'x' is not a whole number\n"},
        {"A=b", {"shards", "x"}, "--shards: shards: 'x' is not a whole number\n"},
        {"A=b", {"shards", NULL}, "--shards: needs a value\n"},
        {"A=b", {"bogus", "1"}, "--bogus: unknown key 'bogus'\n"},
        {"A=b",
         {"listeners[].address", "x"},
         "--listeners[].address: unknown key 'listeners[].address'\n"},
        {"A=b",
         {"definitions.queues", "q"},
         "--definitions.queues: unknown key 'definitions.queues'\n"},
        {"A=b", {"listen", "nonsense"}, "--listen: 'nonsense' is not an address"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct conf *conf = NULL;
        struct buf problems = BUF_INIT;
        const char *const environment[] = {cases[i].variable, NULL};
        struct conf_sources sources = {NULL, environment, &cases[i].setting, 1};
        cr_assert_eq(conf_load(&sources, &conf, &problems), ERR_PRECONDITION_FAILED);
        cr_assert_eq(strncmp(buf_cstr(&problems), cases[i].problem, strlen(cases[i].problem)), 0,
                     "case %zu: %s", i, buf_cstr(&problems));
        buf_fini(&problems);
    }
}

UNIT(load, file_that_cannot_be_read)
{
    const struct conf *conf = NULL;
    struct buf problems = BUF_INIT;
    struct conf_sources sources = {.file = "/nonexistent/x.yaml"};
    cr_assert_eq(conf_load(&sources, &conf, &problems), ERR_PRECONDITION_FAILED);
    cr_assert_str_eq(buf_cstr(&problems),
                     "/nonexistent/x.yaml: cannot be read: No such file or directory\n");
    buf_clear(&problems);
    sources.file = "/tmp";
    cr_assert_eq(conf_load(&sources, &conf, &problems), ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(buf_cstr(&problems), "/tmp: cannot be read: Is a directory"));
    buf_fini(&problems);
}

/* etc/jackalope.yaml as it is, and with its keys uncommented. */
UNIT(load, sample_is_good)
{
    const char *srcdir = getenv("srcdir");
    struct buf path = BUF_INIT, as_is = BUF_INIT, live = BUF_INIT, problems = BUF_INIT;
    char line[256];
    buf_printf(&path, "%s/etc/jackalope.yaml", srcdir ? srcdir : ".");
    FILE *f = fopen(buf_cstr(&path), "r");
    cr_assert_not_null(f, "%s", buf_cstr(&path));
    while (fgets(line, sizeof line, f)) {
        buf_append_str(&as_is, line);
        if (strncmp(line, "# ", 2) == 0)
            buf_append_str(&live, line + 2);
    }
    fclose(f);
    const struct conf *sample = rig_load(buf_slice(&as_is), &problems);
    const struct conf *uncommented = rig_load(buf_slice(&live), &problems);
    cr_assert(sample && uncommented, "%s", buf_cstr(&problems));
    cr_assert_eq(sample->listeners.count, 1);
    cr_assert_eq(uncommented->listeners.count, 4);
    cr_assert_eq(uncommented->definitions.bindings.count, 1);
    conf_unref(&sample);
    conf_unref(&uncommented);
    buf_fini(&path);
    buf_fini(&as_is);
    buf_fini(&live);
    buf_fini(&problems);
}

/* RabbitMQ's two keys, written in any way. */
UNIT(load, disk_limit)
{
    static const struct {
        const char *yaml;
        uint64_t absolute;
        double relative;
    } good[] = {
        {"disk_free_limit: 2GB", 2000000000, 0},
        {"disk_free_limit: 1.5", 0, 1.5},
        {"disk_free_limit.absolute: 2GB", 2000000000, 0},
        {"disk_free_limit.relative: 2", 0, 2},
        {"disk_free_limit: {absolute: 2GB}", 2000000000, 0},
        {"disk_free_limit:\n  relative: 1.5", 0, 1.5},
    };
    static const char *const bad[][2] = {
        {"disk_free_limit: {relative: 2GB}",
         "a.yaml:1: disk_free_limit: '2GB' is not a share such as 0.6\n"},
        {"disk_free_limit: {relative: 2, absolute: 1}",
         "a.yaml:1: 'disk_free_limit' is there twice, first on line 1\n"},
        {"disk_free_limit: {absolut: 2GB}",
         "a.yaml:1: unknown key 'absolut' in 'disk_free_limit'\n"},
        {"disk_free_limit.relative: {x: y}",
         "a.yaml:1: disk_free_limit: expected a single value, not a mapping\n"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct buf problems = BUF_INIT;
        const struct conf *conf = rig_load(slice_str(good[i].yaml), &problems);
        cr_assert_not_null(conf, "%s: %s", good[i].yaml, buf_cstr(&problems));
        cr_assert_eq(conf->disk_free_limit.absolute, good[i].absolute, "%s", good[i].yaml);
        cr_assert_float_eq(conf->disk_free_limit.relative, good[i].relative, 1e-9);
        conf_unref(&conf);
        buf_fini(&problems);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf problems = BUF_INIT;
        cr_assert_null(rig_load(slice_str(bad[i][0]), &problems), "%s", bad[i][0]);
        cr_assert_str_eq(buf_cstr(&problems), bad[i][1]);
        buf_fini(&problems);
    }
    const char *const environment[] = {"JACKALOPE_VM_MEMORY_HIGH_WATERMARK_ABSOLUTE=1GB",
                                       "JACKALOPE_DISK_FREE_LIMIT_RELATIVE=3", NULL};
    const struct conf_setting flag = {"disk_free_limit.absolute", "1"};
    struct conf_sources sources = {.environment = environment};
    struct buf problems = BUF_INIT;
    const struct conf *conf = NULL;
    cr_assert_eq(conf_load(&sources, &conf, &problems), ERR_NONE, "%s", buf_cstr(&problems));
    cr_assert_float_eq(conf->disk_free_limit.relative, 3, 1e-9);
    cr_assert_eq(conf_disk_limit(conf), (uint64_t)(3.0 * (double)conf_memory_total(conf)));
    cr_assert_eq(conf_memory_watermark(conf), 1000000000);
    conf_unref(&conf);
    sources = (struct conf_sources){.settings = &flag, .setting_count = 1};
    cr_assert_eq(conf_load(&sources, &conf, &problems), ERR_NONE, "%s", buf_cstr(&problems));
    cr_assert_eq(conf_disk_limit(conf), 1);
    conf_unref(&conf);
    buf_fini(&problems);
}
