cmdtable = {}
