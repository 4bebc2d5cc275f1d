{{/* The full name of an image: registry/name:tag. A name with a tag or a digest of its own keeps it. */}}
{{- define "ibfeed.image" -}}
{{- $image := .root.Values.image -}}
{{- $name := index $image .name -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $name -}}
{{- if not (regexMatch "@|:[^/]+$" $name) }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}
