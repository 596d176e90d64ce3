/* Erlang's terms, as file:consult would read them. */
#include "ctl/erlang.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static void put_escaped(FILE *out, const char *text, char quote)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == (unsigned char)quote || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x{%X}", c);
        else
            fputc(c, out);
    }
}

void erlang_put_binary(FILE *out, const char *text)
{
    bool wide = false;
    for (const char *p = text; *p; p++)
        wide = wide || (*p & 0x80);
    fputs("<<", out);
    if (*text) {
        fputc('"', out);
        put_escaped(out, text, '"');
        fputs(wide ? "\"/utf8" : "\"", out);
    }
    fputs(">>", out);
}

static void put_atom(FILE *out, const char *name)
{
    bool plain = islower((unsigned char)*name);
    for (const char *p = name; *p; p++)
        plain = plain && (isalnum((unsigned char)*p) || *p == '_' || *p == '@');
    if (plain) {
        fputs(name, out);
        return;
    }
    fputc('\'', out);
    put_escaped(out, name, '\'');
    fputc('\'', out);
}

static void put_array(FILE *out, const cJSON *array, void (*put)(FILE *out, const cJSON *value))
{
    const cJSON *item;
    fputc('[', out);
    cJSON_ArrayForEach(item, array)
    {
        if (item != array->child)
            fputc(',', out);
        put(out, item);
    }
    fputc(']', out);
}

static void put_map(FILE *out, const cJSON *object)
{
    const cJSON *item;
    fputs("#{", out);
    cJSON_ArrayForEach(item, object)
    {
        if (item != object->child)
            fputc(',', out);
        erlang_put_binary(out, item->string);
        fputs(" => ", out);
        erlang_put(out, item);
    }
    fputc('}', out);
}

void erlang_put(FILE *out, const cJSON *value)
{
    if (cJSON_IsString(value)) {
        erlang_put_binary(out, value->valuestring);
    } else if (cJSON_IsArray(value)) {
        put_array(out, value, erlang_put);
    } else if (cJSON_IsObject(value)) {
        put_map(out, value);
    } else if (cJSON_IsNull(value)) {
        fputs("undefined", out);
    } else {
        char *text = cJSON_PrintUnformatted(value);
        fputs(text ? text : "undefined", out);
        cJSON_free(text);
    }
}

/* ["x-max-length","signedint",10] */
static void put_field(FILE *out, const cJSON *field)
{
    const cJSON *type = cJSON_GetArrayItem(field, 1), *value = cJSON_GetArrayItem(field, 2);
    if (!cJSON_IsString(type) || !value) {
        erlang_put(out, field);
        return;
    }
    fputc('{', out);
    erlang_put(out, field->child);
    fputc(',', out);
    put_atom(out, type->valuestring);
    fputc(',', out);
    if (!strcmp(type->valuestring, "table"))
        put_array(out, value, put_field);
    else
        erlang_put(out, value);
    fputc('}', out);
}

static void put_tag(FILE *out, const cJSON *tag)
{
    if (cJSON_IsString(tag))
        put_atom(out, tag->valuestring);
    else
        erlang_put(out, tag);
}

void erlang_put_cell(FILE *out, const char *column, const cJSON *value)
{
    bool table = !strcmp(column, "arguments") || !strcmp(column, "client_properties");
    fputc('{', out);
    put_atom(out, column);
    fputc(',', out);
    if (table && cJSON_IsArray(value))
        put_array(out, value, put_field);
    else if (!strcmp(column, "tags") && cJSON_IsArray(value))
        put_array(out, value, put_tag);
    else
        erlang_put(out, value);
    fputc('}', out);
}
