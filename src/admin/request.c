/* The lines a client sends: JSON, checked and copied. */
#include "admin/request.h"

#include "base/control.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static cJSON *parse_object(struct slice line)
{
    const char *end = NULL;
    if (!line.len || line.len > CONTROL_LINE_MAX || !utf8_valid(line))
        return NULL;
    cJSON *json = cJSON_ParseWithLengthOpts((const char *)line.data, line.len, &end, 0);
    if (json && !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        json = NULL;
    }
    return json;
}

static const char *check_words(const cJSON *words)
{
    const cJSON *word;
    int count = cJSON_GetArraySize(words);
    if (!cJSON_IsArray(words) || count < 1)
        return "the request has no words";
    if (count > CONTROL_WORDS_MAX)
        return "the request has too many words";
    cJSON_ArrayForEach(word, words)
    {
        if (!cJSON_IsString(word))
            return "a word of the request is no text";
    }
    return NULL;
}

static void copy_words(const cJSON *words, struct request *request)
{
    const cJSON *word;
    request->words = mem_zalloc(((size_t)cJSON_GetArraySize(words) + 1) * sizeof *request->words);
    cJSON_ArrayForEach(word, words)
    {
        request->words[request->count++] = mem_strdup(word->valuestring);
    }
}

static char *copy_text(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? mem_strdup(item->valuestring) : NULL;
}

static void read_switches(const cJSON *json, struct request *request)
{
    request->json = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "json"));
    request->typed = request->json || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "typed"));
    request->dry = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "dry"));
    request->tool = copy_text(json, "tool");
    request->node = copy_text(json, "node");
}

bool request_parse(struct slice line, struct request *ret_request, const char **ret_error)
{
    cJSON *json = parse_object(line);
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(json, "control");
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(json, "words");
    const char *error = NULL;
    if (!json)
        error = "the request is no JSON object";
    else if (!cJSON_IsNumber(version) || version->valuedouble != CONTROL_VERSION)
        error = "the request is of another version of the control protocol";
    else
        error = check_words(words);
    if (!error) {
        *ret_request = (struct request){0};
        copy_words(words, ret_request);
        read_switches(json, ret_request);
    } else {
        *ret_error = error;
    }
    cJSON_Delete(json);
    return !error;
}

void request_fini(struct request *request)
{
    for (size_t i = 0; i < request->count; i++)
        free(request->words[i]);
    free(request->words);
    free(request->tool);
    free(request->node);
    *request = (struct request){0};
}

bool request_parse_answer(struct slice line, char **ret_answer)
{
    cJSON *json = parse_object(line);
    const cJSON *answer = cJSON_GetObjectItemCaseSensitive(json, "answer");
    bool good = cJSON_IsString(answer) || cJSON_IsNull(answer);
    if (good)
        *ret_answer = cJSON_IsString(answer) ? mem_strdup(answer->valuestring) : NULL;
    cJSON_Delete(json);
    return good;
}

bool request_parse_data(struct slice line, size_t *ret_size)
{
    cJSON *json = parse_object(line);
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(json, "data");
    bool good =
        cJSON_IsNumber(size) && size->valuedouble >= 0 && size->valuedouble <= CONTROL_DATA_MAX;
    if (good)
        *ret_size = (size_t)size->valuedouble;
    cJSON_Delete(json);
    return good;
}
