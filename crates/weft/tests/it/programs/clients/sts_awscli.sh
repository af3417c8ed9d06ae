# The AWS command line with a role and a token's file, and no key: it fetches its keys by itself.
# `a.csv` is in the bucket. Says `ready`, waits for a line, and expects the token to be revoked then.
set -eu
bucket=$1
aws() { python3 -m awscli "$@"; }
refused() {
    code=$1
    shift
    if said=$(aws "$@" 2>&1); then
        echo "not refused: $*: $said" >&2
        exit 1
    fi
    echo "$said" | grep -q "($code)" || { echo "$*: $said" >&2; exit 1; }
}
aws s3 ls | grep -q " $bucket\$"
test "$(aws s3 ls "s3://$bucket" | wc -l)" = 1
aws s3 cp "s3://$bucket/a.csv" - | grep -q '^n,group$'
refused AccessDenied s3api put-object --bucket "$bucket" --key b
aws sts get-caller-identity --query Arn --output text | grep -q ':assumed-role/read/'
echo ready
read -r _
# With the session that it keeps in its cache, and as a new shell that has none.
refused InvalidAccessKeyId s3 ls "s3://$bucket"
rm -r "$HOME/.aws/cli/cache"
refused InvalidIdentityToken s3 ls "s3://$bucket"
echo 'awscli: all as expected'
