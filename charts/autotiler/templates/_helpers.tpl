{{/* Names, labels and addresses. */}}

{{- define "autotiler.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for the longest ending, "-device-" and a device's name, to be cut nowhere else. */}}
{{- define "autotiler.fullname" -}}
{{- $name := include "autotiler.name" . -}}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{ .Values.fullnameOverride | default $whole | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* autotiler.selector (list $ COMPONENT) */}}
{{- define "autotiler.selector" -}}
app.kubernetes.io/name: {{ include "autotiler.name" (first .) }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* autotiler.labels (list $ COMPONENT) */}}
{{- define "autotiler.labels" -}}
{{ include "autotiler.selector" . }}
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (first .).Chart.Name (first .).Chart.Version | replace "+" "_" }}
{{- end }}

{{/* autotiler.metadata (list $ COMPONENT): name, namespace and labels of a component's objects. */}}
{{- define "autotiler.metadata" -}}
name: {{ include "autotiler.fullname" (first .) }}-{{ last . }}
namespace: {{ (first .).Release.Namespace }}
labels:
  {{- include "autotiler.labels" . | nindent 2 }}
{{- end }}

{{/* autotiler.image (list $ REFERENCE NAME): the whole reference that was given, else NAME of image.* */}}
{{- define "autotiler.image" -}}
{{- $values := (first .).Values.image -}}
{{ index . 1 | default (printf "%s%s:%s" $values.prefix (last .) ($values.tag | default (first .).Chart.AppVersion)) | quote }}
{{- end }}

{{/* Where policies and devices of this release's own live. */}}
{{- define "autotiler.objectsNamespace" -}}
{{ .Values.watchNamespace | default .Release.Namespace }}
{{- end }}

{{/* "true" where the built-in one runs. */}}
{{- define "autotiler.builtinNats" -}}
{{- if and .Values.nats.builtin.enabled (not .Values.nats.url) }}true{{ end -}}
{{- end }}
{{- define "autotiler.builtinPrometheus" -}}
{{- if and .Values.prometheus.builtin.enabled (not .Values.prometheus.url) }}true{{ end -}}
{{- end }}

{{- define "autotiler.natsUrl" -}}
{{- if include "autotiler.builtinNats" . -}}
{{ ternary "tls" "nats" .Values.nats.tls.enabled }}://{{ include "autotiler.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{ required "nats.url: give the address of an NATS with JetStream, or leave nats.builtin.enabled on" .Values.nats.url }}
{{- end }}
{{- end }}

{{- define "autotiler.prometheusUrl" -}}
{{- if include "autotiler.builtinPrometheus" . -}}
http://{{ include "autotiler.fullname" . }}-prometheus.{{ .Release.Namespace }}.svc:9090
{{- else -}}
{{ required "prometheus.url: give the address of a Prometheus, or leave prometheus.builtin.enabled on" .Values.prometheus.url }}
{{- end }}
{{- end }}

{{- define "autotiler.controllerUrl" -}}
http://{{ include "autotiler.fullname" . }}-controller.{{ .Release.Namespace }}.svc:9104
{{- end }}

{{/* Beginning of the names of Secrets with credentials. */}}
{{- define "autotiler.secretPrefix" -}}
{{ .Values.nats.auth.secretPrefix | default (printf "%s-nats" (include "autotiler.fullname" .)) }}
{{- end }}

{{/* Secret with NATS' certificate. */}}
{{- define "autotiler.tlsSecret" -}}
{{ .Values.nats.tls.secret | default (printf "%s-nats-tls" (include "autotiler.fullname" .)) }}
{{- end }}

{{/* autotiler.wanted (list $ WHEN API): "true" where an optional API's objects are to be made. */}}
{{- define "autotiler.wanted" -}}
{{- $when := index . 1 -}}
{{- if or (eq $when "Always") (and (eq $when "Auto") ((first .).Capabilities.APIVersions.Has (last .))) }}true{{ end -}}
{{- end }}
