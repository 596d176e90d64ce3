/* What virtual hosts are born with: whenever one is made, the defaults whose pattern matches its
 * name are put into it, in their order. Shard 0's, but for the making of the list. */
#ifndef META_VHOST_DEFAULTS_H
#define META_VHOST_DEFAULTS_H

#include "meta/meta.h"

struct vhost_defaults;

struct vhost_defaults *vhost_defaults_new(void);
void vhost_defaults_free(struct vhost_defaults **defaults);
/* origin: what it is called, for the log. pattern: of names of virtual hosts. Takes the request,
 * which lacks the virtual host alone: limits as a PARAMETER_SET, of which the first that matches
 * counts; an operator's POLICY_SET; a USER_PUT, put only while there is no such user; its
 * PERMISSION_SET. Refused with what is wrong with its patterns and values. */
enum err vhost_defaults_add(struct vhost_defaults *defaults, const char *origin,
                            struct slice pattern, struct meta_request **request,
                            struct failure *why);
/* Takes them; those that were there before go. */
void meta_set_vhost_defaults(struct node *node, struct vhost_defaults **defaults);
/* For a virtual host that was made before the defaults were known. No loop runs yet. */
void meta_apply_vhost_defaults(struct node *node, struct slice vhost);

#endif
