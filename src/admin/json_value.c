/* cJSON bounds how deep a text may nest, and with it the recursion here. */
#include "admin/json_value.h"

#include "base/mem.h"
#include "base/table.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

enum { KEY_MAX = 255 };
#define WHOLE_MAX 9.2e18

static struct table_value scalar(const cJSON *json)
{
    if (cJSON_IsBool(json))
        return (struct table_value){.type = TABLE_BOOL, .boolean = cJSON_IsTrue(json)};
    if (cJSON_IsString(json))
        return table_value_str(slice_str(json->valuestring));
    if (!cJSON_IsNumber(json))
        return (struct table_value){.type = TABLE_VOID};
    double d = json->valuedouble;
    if (d == floor(d) && fabs(d) < WHOLE_MAX)
        return table_value_i64((int64_t)d);
    return (struct table_value){.type = TABLE_DOUBLE, .real = isfinite(d) ? d : 0};
}

static bool build(const cJSON *json, struct buf *body);

static bool put_container(const cJSON *json, struct slice key, struct buf *table)
{
    struct buf body = BUF_INIT;
    bool good = build(json, &body);
    if (cJSON_IsArray(json))
        table_put_array(table, key, buf_slice(&body));
    else
        table_put_table(table, key, buf_slice(&body));
    buf_fini(&body);
    return good;
}

bool json_value_put(const cJSON *json, const char *name, struct buf *table)
{
    struct slice key = slice_str(name);
    if (key.len > KEY_MAX)
        return false;
    if (cJSON_IsArray(json) || cJSON_IsObject(json))
        return put_container(json, key, table);
    struct table_value value = scalar(json);
    table_put(table, key, &value);
    return true;
}

/* The value of an entry that was put into a table of its own. */
static bool put_element(const cJSON *json, struct buf *array)
{
    struct buf entry = BUF_INIT;
    struct table_value value;
    bool good = json_value_put(json, "e", &entry);
    if (good && table_find(buf_slice(&entry), SLICE("e"), &value))
        array_put(array, &value);
    buf_fini(&entry);
    return good;
}

static bool is_repeated(const cJSON *entry)
{
    for (const cJSON *later = entry->next; later; later = later->next) {
        if (!strcmp(later->string, entry->string))
            return true;
    }
    return false;
}

static bool build(const cJSON *json, struct buf *body)
{
    struct buf entries = BUF_INIT;
    bool good = true, array = cJSON_IsArray(json);
    const cJSON *child;
    cJSON_ArrayForEach(child, json)
    {
        if (array)
            good &= put_element(child, body);
        else if (!is_repeated(child))
            good &= json_value_put(child, child->string, &entries);
    }
    table_sort(buf_slice(&entries), body);
    buf_fini(&entries);
    return good;
}

bool json_value_parse(const char *text, struct buf *table)
{
    cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
    bool good = json && json_value_put(json, "value", table);
    cJSON_Delete(json);
    return good;
}
