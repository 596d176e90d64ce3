#include "conf/manual.h"
#include "rig.h"

static const char full[] =
    "node_name: n@h\nlisteners: [{address: 'a:1', tls: true, tls_set: s}, 'unix:/tmp/\\x\"y']\n"
    "ssl_options: {certfile: c, keyfile: k, password: pw, certificates: [{certfile: d, keyfile: "
    "e}]}\n"
    "tls_sets: [{name: s, certificates: [{certfile: d, keyfile: e, password: f}]}]\n"
    "loopback_users: []\nvm_memory_high_watermark: 0.25\n"
    "log: {channel: {level: none}, format: json}\ncontrol.mode: 0660\n"
    "definitions:\n  vhosts: [{name: v, tags: [x]}]\n"
    "  users: [{name: u, tags: [management]}]\n  permissions: [{user: u, read: '.*'}]\n"
    "  exchanges: [{name: e, type: topic, arguments: {a: 1, b: 1.0, c: true, d: '1', e: ~}}]\n"
    "  bindings: [{source: e, destination: f, destination_type: exchange}]\n";

static void count_change(void *arg, const struct conf_change *change)
{
    buf_printf(arg, "%s|%s|%s|%d\n", change->key, change->before, change->after,
               (int)change->reload);
}

UNIT(print, dump_loads_again_as_the_same)
{
    const struct conf *conf = rig_load(slice_str(full), NULL);
    cr_assert_not_null(conf);
    struct buf dump = BUF_INIT, problems = BUF_INIT, changes = BUF_INIT;
    conf_dump(conf, &dump);
    cr_assert_null(strstr(buf_cstr(&dump), "pw"));
    cr_assert_not_null(strstr(buf_cstr(&dump), "a.yaml:2"));
    const struct conf *again = rig_load(buf_slice(&dump), &problems);
    cr_assert_not_null(again, "%s\n%s", buf_cstr(&problems), buf_cstr(&dump));
    conf_diff(conf, again, count_change, &changes);
    /* passwords are not printed, so they are what is missing */
    cr_assert_str_eq(
        buf_cstr(&changes),
        "ssl_options.password|<hidden>|<hidden>|1\n"
        "tls_sets|[{name: \"s\", certificates: [{certfile: \"d\", keyfile: \"e\"}], "
        "verify: verify_none, fail_if_no_peer_cert: false, depth: 1, crl_check: false, "
        "min_version: \"1.2\", honor_cipher_order: true, reuse_sessions: true}]|[{name: \"s\", "
        "certificates: "
        "[{certfile: \"d\", keyfile: \"e\"}], verify: verify_none, "
        "fail_if_no_peer_cert: false, depth: 1, crl_check: false, min_version: \"1.2\", "
        "honor_cipher_order: true, reuse_sessions: true}]|1\n");
    conf_unref(&conf);
    conf_unref(&again);
    buf_fini(&dump);
    buf_fini(&problems);
    buf_fini(&changes);
}

UNIT(print, diff_tells_what_changed_and_when_it_applies)
{
    const struct conf *a = rig_load(SLICE("shards: 1\ndefault_pass: old\n"), NULL);
    const struct conf *b = rig_load(
        SLICE("shards: 2\ndefault_pass: new\nlog.level: debug\namqp.heartbeat: 30\n"), NULL);
    struct buf changes = BUF_INIT;
    conf_diff(a, a, count_change, &changes);
    cr_assert_eq(changes.len, 0);
    conf_diff(a, b, count_change, &changes);
    cr_assert_str_eq(buf_cstr(&changes), "shards|1|2|0\namqp.heartbeat|60s|30s|2\n"
                                         "default_pass|<hidden>|<hidden>|0\n"
                                         "log.level|info|debug|1\n");
    conf_unref(&a);
    conf_unref(&b);
    buf_fini(&changes);
}

/* Every key has its line in the manual, and every text of the manual has an end. */
UNIT(print, manual_is_complete)
{
    struct buf docs = BUF_INIT;
    manual_put_docs(&docs);
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &row_table[i];
        char needle[160];
        const char *bracket = strrchr(row->path, ']');
        snprintf(needle, sizeof needle, "\n| `%s` |", bracket ? bracket + 2 : row->path);
        cr_assert_not_null(strstr(buf_cstr(&docs), needle), "%s", row->path);
        cr_assert(row->text && row->text[strlen(row->text) - 1] == '.', "%s", row->path);
        cr_assert_not(strchr(row->text, '|'), "%s", row->path);
    }
    buf_fini(&docs);
}

/* What the reading and the printing take for granted about the table. */
UNIT(print, rows_are_sound)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &row_table[i];
        cr_assert_eq(row_find(slice_str(row->path)), row, "%s is there twice", row->path);
        cr_assert(row->type != ROW_LIST || row->item_size, "%s", row->path);
        cr_assert(row->type != ROW_ENUM || row->names, "%s", row->path);
        cr_assert(row->required || row->def || row->type == ROW_ARGS, "%s has no default",
                  row->path);
        bool is_number = row->type == ROW_UINT || row->type == ROW_SIZE || row->type == ROW_MILLIS;
        cr_assert(!is_number || row->size == 4 || row->size == 8, "%s", row->path);
        cr_assert(!row->named || row_of_name(row)->type == ROW_TEXT, "%s", row->path);
        cr_assert(!row->flag || row_has_environment(row), "%s", row->path);
        cr_assert(!row->flag || row_find_flag(row->flag) == row, "--%s is there twice", row->flag);
        if (i && strchr(row->path, '.') && !strchr(row->path, '[')) {
            size_t n = strcspn(row->path, ".") + 1; /* sections stand together */
            const struct row *first = row;
            while (first > row_table && (strncmp(first[-1].path, row->path, n) == 0))
                first--;
            for (const struct row *r = row_table; r < first; r++)
                cr_assert(strncmp(r->path, row->path, n) != 0, "%s stands apart", row->path);
        }
    }
}
