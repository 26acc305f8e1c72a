/* Value name -> id: open addressing; the hash is salted per table so that a file cannot choose names that collide. */
#ifndef FB_GRAPH_NAME_TABLE_H
#define FB_GRAPH_NAME_TABLE_H

#include "graph/graph.h"

typedef struct FbNameTable FbNameTable;

FbNameTable *fb_name_table_create(FbContext *context);   /* NULL: no memory */
void fb_name_table_free(FbNameTable *table);             /* NULL is fine */
FbId fb_name_table_find(const FbNameTable *table, const char *name); /* FB_NONE: absent */
/* The name must be absent; it is kept by reference. false: no memory. */
bool fb_name_table_add(FbNameTable *table, const char *name, FbId id);
void fb_name_table_remove(FbNameTable *table, const char *name);

#endif
