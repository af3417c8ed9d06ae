# A DVC repository that keeps its data in a bucket: push, lose the cache, pull.
set -eu
bucket=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME="$work" DVC_NO_ANALYTICS=1
dvc() { python3 -m dvc "$@"; }
python3 -c "import s3fs; s3fs.S3FileSystem().mkdir('$bucket')"
dvc init --no-scm
dvc remote add --default store "s3://$bucket/dvc"
dvc remote modify store endpointurl "$AWS_ENDPOINT_URL"
mkdir data
for n in 1 2 3 4 5; do printf 'row %s\n' "$n" > "data/$n.csv"; done
dvc add data
dvc push
cp -r data before
rm -rf .dvc/cache data
dvc pull
diff -r before data
echo 'dvc: all as expected'
