#!/usr/bin/env bash
# Build and test the Android app without Gradle and without Google's repository: from Maven Central and Debian alone.
#
#   android_demo/build.sh [--demo FOLDER] [--assets-only | --no-tests]
#
# FOLDER holds stores, profiles and digits as `legodnn demo` writes them; without it, demo/ if it is there, else the APK
# has the small networks of small-assets/, and no Python is needed. The APK, signed with a debug key, is
# android_demo/build/legodnn-demo.apk. The sources are those of the Gradle project; packages.lock pins everything
# downloaded. Downloads and the debug key are kept in LEGODNN_ANDROID_CACHE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

here=$PWD
repository=$(cd .. && pwd)
build=$here/build
cache=${LEGODNN_ANDROID_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/legodnn-android}
central=${MAVEN_CENTRAL:-https://repo1.maven.org/maven2}
python=${LEGODNN_PYTHON:-$repository/.venv/bin/python}
abis=(arm64-v8a armeabi-v7a x86_64)
demo= assets_only= no_tests=

die() { echo "build.sh: $*" >&2; exit 1; }
step() { echo "--- $*"; }

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --demo) demo=$(cd "${2:?--demo needs a folder}" && pwd); shift ;;
            --assets-only) assets_only=1 ;;
            --no-tests) no_tests=1 ;;
            *) die "unknown option $1; see the head of this file" ;;
        esac
        shift
    done
    mkdir -p "$build" "$cache"
    if [ -n "$assets_only" ]; then
        assets
        exit
    fi
    tools
    versions
    assets
    download
    compile_library
    resources
    compile_app
    package
    report
    if [ -z "$no_tests" ]; then
        test_tools
        test_library
        test_kotlin
        [ "$(uname -sm)" != "Linux x86_64" ] || desktop
        test_litert2
        test_pages
        test_app
    fi
}

# -- what is needed ---------------------------------------------------------------------------------------------------

tools() {
    local missing=() pair
    for pair in javac:openjdk-17-jdk-headless aapt:aapt zipalign:zipalign apksigner:apksigner curl:curl unzip:unzip; do
        command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && [ "${CI:-}" = true ]; then
        step "installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
    else
        die "not installed: ${missing[*]}; run: sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
}

# A version in Gradle's catalogue.
catalogue() {
    sed -nE "s/^$1 = \"(.*)\"\$/\\1/p" gradle/libs.versions.toml | grep . || die "gradle/libs.versions.toml names no $1"
}

# Both builds must build the same: the catalogue's libraries are in packages.lock with the same versions.
versions() {
    min_sdk=$(catalogue minSdk) target_sdk=$(catalogue targetSdk)
    local module reference locked
    while read -r module reference; do
        case $reference in litert | litert2 | camerax | activity) continue ;; esac # in Google's repository only
        locked=$(awk -v m="$module:" '$2 != "desktop" && index($3, m) == 1 { split($3, part, ":"); print part[3] }' \
            packages.lock)
        [ "$locked" = "$(catalogue "$reference")" ] ||
            die "$module is $(catalogue "$reference") in gradle/libs.versions.toml and '$locked' in packages.lock"
    done < <(sed -nE 's/.*module = "([^"]+)", version.ref = "([^"]+)".*/\1 \2/p' gradle/libs.versions.toml)
    [ "$(packages kotlinc kotlin-compiler-embeddable: | grep -oE '[0-9.]+[0-9]\.jar$')" = "$(catalogue kotlin).jar" ] ||
        die "packages.lock has another compiler of Kotlin than gradle/libs.versions.toml"
    grep -q "LITERT = \"$(catalogue litert2)\";" lego-runtime-litert2/src/main/java/org/legodnn/litert2/*.java ||
        die "CompiledModelExecutor.LITERT is another version than litert2 in gradle/libs.versions.toml"
    grep -q "android-api-level-$min_sdk:" packages.lock || die "packages.lock has no API signature of minSdk $min_sdk"
}

# Everything in packages.lock, checked by hash every time.
download() {
    step "packages from Maven Central in $cache"
    local sha use coordinates group name version extension classifier path
    while read -r sha use coordinates; do
        case $sha in '#'* | '') continue ;; esac
        IFS=: read -r group name version extension classifier <<< "$coordinates"
        path=$(cached "$sha" "$coordinates")
        if [ ! -f "$path" ]; then
            echo "    $coordinates" >&2
            mkdir -p "$cache/$sha"
            curl -fsSL --retry 3 -o "$path.part.$$" "$central/${group//.//}/$name/$version/$(basename "$path")" ||
                die "$coordinates could not be downloaded from $central"
            echo "$sha  $path.part.$$" | sha256sum --check --status ||
                { rm -f "$path.part.$$"; die "$coordinates is not what packages.lock expects: its SHA-256 differs"; }
            mv "$path.part.$$" "$path"
        fi
        echo "$sha  $path"
    done < packages.lock > "$build/sums"
    sha256sum --check --status "$build/sums" || die "a file in $cache was altered; remove that folder"
}

# Where a package is kept.
cached() {
    local group name version extension classifier
    IFS=: read -r group name version extension classifier <<< "$2"
    echo "$cache/$1/$name-$version${classifier:+-$classifier}.$extension"
}

# The paths of the packages for a use, or of the one of a name among them; joined by colons.
packages() {
    local sha use coordinates
    while read -r sha use coordinates; do
        case ",$use,$coordinates" in *",$1,"*":${2:-}"*) cached "$sha" "$coordinates" ;; esac
    done < "$here/packages.lock" | paste -sd :
}

# -- assets -----------------------------------------------------------------------------------------------------------

assets() {
    [ -n "$demo" ] || [ ! -f "$repository/demo/digits.npz" ] || demo=$repository/demo
    if [ -n "$demo" ]; then
        step "assets of $demo"
        [ -x "$python" ] || die "no Python at $python, which packs $demo; run \`make android\`, which makes .venv"
        (cd "$repository" && "$python" -m android_demo.tools.pack_assets "$demo" "$build/assets")
    else
        step "assets of small-assets/ (for larger networks run \`make demo\` first)"
        rm -rf "$build/assets"
        cp -r small-assets "$build/assets"
    fi
}

# -- compiling --------------------------------------------------------------------------------------------------------

java_compile() { # OUT CLASSPATH RELEASE FOLDER...
    local out=$1 classpath=$2 release=$3
    shift 3
    rm -rf "$out"
    mkdir -p "$out"
    find "$@" -name '*.java' > "$build/sources"
    javac -encoding UTF-8 -proc:none -g -parameters -nowarn -Xlint:-options --release "$release" \
        -cp "$classpath" -d "$out" @"$build/sources"
}

# Nothing may be called that came after minSdk.
check_classes() {
    java -cp "$(packages tool)" tools/ApiCheck.java "$(packages tool "android-api-level-$min_sdk:")" "$@" ||
        die "the calls above do not exist on API $min_sdk"
}

# What may be null in the library: NullAway, a plug-in of javac by way of Error Prone, finds where that is not what its
# annotations say. That Map.get gives null for a key that is not there it is told to overlook.
check_nullness() { # CLASSPATH FOLDER...
    local classpath=$1 part opened=()
    shift
    for part in api file main model parser processing tree util; do
        opened+=("-J--add-exports=jdk.compiler/com.sun.tools.javac.$part=ALL-UNNAMED")
    done
    for part in code comp; do
        opened+=("-J--add-opens=jdk.compiler/com.sun.tools.javac.$part=ALL-UNNAMED")
    done
    rm -rf "$build/nullness" && mkdir -p "$build/nullness"
    find "$@" -name '*.java' > "$build/sources"
    javac "${opened[@]}" -encoding UTF-8 -nowarn -Xlint:-options --release 8 -XDcompilePolicy=simple \
        --should-stop=ifError=FLOW -processorpath "$(packages nullness)" -Xplugin:"ErrorProne -XepDisableAllChecks \
-Xep:NullAway:ERROR -XepOpt:NullAway:OnlyNullMarked=true -XepOpt:NullAway:JSpecifyMode=true \
-XepOpt:NullAway:IgnoreLibraryModelsFor=java.util.Map.get" -cp "$classpath" -d "$build/nullness" @"$build/sources" ||
        die "something may be null that is not said to be"
}

# What a library offers is what its api.txt says.
check_interface() { # MODULE CLASSES CLASSPATH
    local found=$2-api.txt signature
    signature=$(packages tool "android-api-level-$min_sdk:")
    java -cp "$2:$3:$(packages tool)" tools/ApiDump.java "$signature" "$2" > "$found" ||
        die "the interface of $1 is not sound"
    diff "$1/api.txt" "$found" ||
        die "the interface of $1 is another one than $1/api.txt; if that is meant: cp $found $here/$1/api.txt"
}

compile_library() {
    step "library"
    local aar
    for aar in tensorflow-lite tensorflow-lite-api; do
        rm -rf "${build:?}/$aar"
        unzip -q "$(packages compile "$aar:")" -d "$build/$aar"
    done
    framework=$(packages compile android-all:)
    jspecify=$(packages compile jspecify:)
    tflite=$build/tensorflow-lite/classes.jar:$build/tensorflow-lite-api/classes.jar:$jspecify
    local sources=(lego-runtime/src/main/java lego-runtime/src/android/java)
    java_compile "$build/library" "$tflite:$framework" 8 "${sources[@]}"
    check_classes "$build/library" "$build"/tensorflow-lite{,-api}/classes.jar "$jspecify"
    check_nullness "$tflite:$framework" "${sources[@]}"
    check_interface lego-runtime "$build/library" "$tflite:$framework"
}

# The manifest as the Android Gradle plugin completes it: the package is its namespace. Native libraries are stored
# compressed and extracted at installation: zipalign of Debian aligns to 4 KiB only, and a device with pages of 16 KiB
# could not map them from the APK.
resources() {
    step "resources"
    local main=app/src/main
    rm -rf "$build/generated" && mkdir -p "$build/generated"
    sed -e "s|<manifest |<manifest package=\"org.legodnn.demo\" |" \
        -e "s|<application|<application android:extractNativeLibs=\"true\"|" \
        $main/AndroidManifest.xml > "$build/AndroidManifest.xml"
    aapt package -f -m --debug-mode --error-on-missing-config-entry --min-sdk-version "$min_sdk" \
        --target-sdk-version "$target_sdk" --version-code "$(catalogue appVersionCode)" \
        --version-name "$(catalogue appVersionName)" -M "$build/AndroidManifest.xml" -S $main/res -A "$build/assets" \
        -I "$framework" -J "$build/generated" -F "$build/resources.apk"
}

compile_app() {
    step "app"
    java_compile "$build/app" "$build/library:$tflite:$framework" 8 app/src/main/java "$build/generated"
    check_classes "$build/app" "$build/library" "$build"/tensorflow-lite{,-api}/classes.jar "$jspecify"
}

package() {
    step "package"
    local stage=$build/stage key=$cache/debug.keystore abi
    rm -rf "$stage" && mkdir -p "$stage"
    find "$build/app" "$build/library" -name '*.class' > "$build/classes"
    java -cp "$(packages tool r8:)" com.android.tools.r8.D8 --debug --min-api "$min_sdk" --lib "$framework" \
        --output "$stage" @"$build/classes" "$build"/tensorflow-lite{,-api}/classes.jar "$jspecify"
    for abi in "${abis[@]}"; do
        mkdir -p "$stage/lib/$abi"
        cp "$build/tensorflow-lite/jni/$abi/"*.so "$stage/lib/$abi/"
    done
    java tools/PageSize.java "$stage"/lib/*/*.so | tee "$build/page-sizes"
    cp "$build/resources.apk" "$stage/unaligned.apk"
    (cd "$stage" && aapt add unaligned.apk classes.dex lib/*/*.so > /dev/null)
    zipalign -f 4 "$stage/unaligned.apk" "$stage/aligned.apk"
    [ -f "$key" ] || keytool -genkeypair -keystore "$key" -storepass android -keypass android -alias androiddebugkey \
        -dname "CN=Android Debug,O=Android,C=US" -keyalg RSA -keysize 2048 -validity 10000 2> /dev/null
    apksigner sign --ks "$key" --ks-pass pass:android --min-sdk-version "$min_sdk" --out "$build/legodnn-demo.apk" \
        "$stage/aligned.apk"
}

report() {
    local apk=$build/legodnn-demo.apk
    step "built $apk, $(stat -c %s "$apk") bytes"
    aapt dump badging "$apk" |
        grep -E "^(package|sdkVersion|targetSdkVersion|uses-permission|application-debuggable|launchable|native-code)"
    apksigner verify --verbose "$apk" | grep -E '^Verified'
    unzip -l "$apk" | awk '
        /classes.dex|lib\// { printf "%10d  %s\n", $1, $4 }
        /assets\// { split($4, part, "/"); key = part[2] "/" part[3]; files[key]++; bytes[key] += $1 }
        END { for (key in files) printf "%10d  assets/%s (%d files)\n", bytes[key], key, files[key] }' | sort -k2
    local tflite_version
    tflite_version=$(awk '$2 == "compile" && /tensorflow-lite:/ { split($3, part, ":"); print part[3] }' packages.lock)
    echo "TensorFlow Lite $tflite_version, compiled against $(basename "$framework")"
    ! grep -q "not of 16" "$build/page-sizes" ||
        echo "for tests and sideloading: devices with pages of 16 KiB run it in a compatibility mode, and Google Play refuses
it; Gradle takes LiteRT $(catalogue litert), whose libraries are aligned to that"
    echo "$(aapt version), $(java -version 2>&1 | head -n 1)"
}

# -- tests ------------------------------------------------------------------------------------------------------------

# The classes of a folder whose names end in Test.
tests_in() { (cd "$1" && find . -name '*Test.class' | sed -e 's|^\./||' -e 's|\.class$||' -e 's|/|.|g' | sort); }

test_tools() {
    step "tests of the build's own tools"
    local junit
    junit=$(packages test)
    java_compile "$build/tools-test" "$junit" 17 tools/PageSize.java tools/test
    java -ea -cp "$build/tools-test:$junit" org.junit.runner.JUnitCore $(tests_in "$build/tools-test")
}

test_library() {
    step "tests of the library"
    local junit
    junit=$(packages test)
    java_compile "$build/library-test" "$build/library:$tflite:$junit:$framework" 8 lego-runtime/src/test/java
    (cd "$repository" && java -ea -cp "$build/library-test:$build/library:$tflite:$junit:$framework" \
        org.junit.runner.JUnitCore $(tests_in "$build/library-test"))
}

kotlin_compile() { # OUT CLASSPATH FOLDER [OPTION...]
    rm -rf "$1"
    java -cp "$(packages kotlinc)" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect -Werror \
        -jvm-target 1.8 "${@:4}" -cp "$2:$(packages kotlin)" -d "$1" "$3"
}

# Kotlin's part of the library, on the test stores of Java's.
test_kotlin() {
    step "tests of the library in Kotlin"
    local classes=$build/library:$jspecify test
    test=$build/library-test:$(packages test)
    kotlin_compile "$build/kotlin" "$classes" lego-runtime-ktx/src/main/kotlin -Xexplicit-api=strict
    check_interface lego-runtime-ktx "$build/kotlin" "$classes:$(packages kotlin)"
    kotlin_compile "$build/kotlin-test" "$build/kotlin:$classes:$test" lego-runtime-ktx/src/desktopTest/kotlin
    java -ea -cp "$build/kotlin-test:$build/kotlin:$classes:$test:$(packages kotlin)" org.junit.runner.JUnitCore \
        $(tests_in "$build/kotlin-test")
}

# The executor of LiteRT 2, whose Java classes Google's repository alone has: against a stand-in for them, which calls the
# library of LiteRT 2 that Python's package brings. Its outputs are compared with those of TensorFlow Lite.
test_litert2() {
    step "tests of the executor of LiteRT 2"
    local module=lego-runtime-litert2/src classes=$build/library:$jspecify litert java_home junit
    java_compile "$build/litert2-stand-in" "$classes" 8 $module/standIn/java
    classes=$build/litert2-stand-in:$classes
    java_compile "$build/litert2" "$classes" 8 $module/main/java
    check_classes "$build/litert2" "$build/library" "$build/litert2-stand-in" "$jspecify"
    check_nullness "$classes" $module/main/java
    check_interface lego-runtime-litert2 "$build/litert2" "$build/library:$classes"
    litert=$("$python" -c 'import ai_edge_litert; print(ai_edge_litert.__path__[0])' 2> /dev/null) || litert=
    if [ ! -d "$build/desktop" ] || [ ! -f "$litert/libLiteRt.so" ] || ! command -v cc > /dev/null; then
        echo "not run: needs Linux on x86-64, a C compiler, and ai-edge-litert in $python"
        return
    fi
    java_home=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
    cc -Wall -Wextra -Wno-unused-parameter -shared -fPIC -I"$java_home"/include{,/linux} $module/standIn/c/litert.c \
        "$litert/libLiteRt.so" -Wl,-rpath,"$litert" -o "$build/desktop/native/lib/liblitert_stand_in.so"
    junit=$(packages test)
    classes=$build/litert2:$build/litert2-stand-in:$build/desktop/library:$build/desktop/classes.jar:$jspecify:$junit
    java_compile "$build/litert2-test" "$classes" 8 $module/desktopTest/java
    java -ea -Dlegodnn.assets="$build/assets" -Djava.library.path="$build/desktop/native/lib" \
        -cp "$build/litert2-test:$classes" org.junit.runner.JUnitCore $(tests_in "$build/litert2-test") 2> /dev/null
}

# What the pages show of Java compiles.
test_pages() {
    step "samples of the pages"
    java tools/PageSamples.java "$build/samples" ../README.md ../docs/android.md
    java_compile "$build/samples/classes" "$build/litert2:$build/litert2-stand-in:$build/library:$tflite:$framework" 8 \
        "$build/samples"
}

# Robolectric calls a part of androidx.test:monitor, which is in Google's repository only; robolectric-monitor has it.
test_app() {
    step "tests of the app on Robolectric"
    robolectric=$(packages test):$(packages robolectric)
    java_compile "$build/robolectric-monitor" "$framework" 8 robolectric-monitor/src
    java_compile "$build/app-test" "$build/app:$build/library:$tflite:$robolectric:$framework" 8 app/src/test/java
    mkdir -p "$build/app-test/com/android/tools"
    cat > "$build/app-test/com/android/tools/test_config.properties" << END
android_merged_manifest=$build/AndroidManifest.xml
android_resource_apk=$build/resources.apk
android_custom_package=org.legodnn.demo
END
    # Explicit collections are for weighing models, which is not what is tested, and slow in a JVM as large as this.
    run_robolectric "$build/library:$tflite" -XX:+DisableExplicitGC \
        $(tests_in "$build/app-test" | grep -v MeasuredTest)
    if [ -d "$build/desktop" ]; then
        step "the app with a native library"
        # Models are weighed: the heap has all its memory from the start, and what is freed is given back.
        MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=32768 MALLOC_ARENA_MAX=1 \
            run_robolectric "$build/desktop/library:$build/desktop/classes.jar:$jspecify" -XX:+UseSerialGC -Xms700m \
            -Xmx700m -XX:+AlwaysPreTouch -XX:TieredStopAtLevel=1 -Djava.library.path="$build/desktop/native/lib" \
            org.legodnn.demo.MeasuredTest
    fi
}

# TensorFlow publishes its native library for Android only. The Deep Java Library has built an older one for Linux,
# which goes with the Java classes of that time; the library's sources compile against both.
desktop() {
    rm -rf "$build/desktop"
    unzip -q "$(packages desktop tensorflow-lite:)" classes.jar -d "$build/desktop"
    unzip -q "$(packages desktop tflite-native-cpu:)" 'native/lib/*' -d "$build/desktop"
    java_compile "$build/desktop/library" "$build/desktop/classes.jar:$jspecify:$framework" 8 \
        lego-runtime/src/main/java lego-runtime/src/android/java
}

run_robolectric() { # LIBRARY [JVM OPTION...] CLASS...
    local classes=$1 options=()
    shift
    while [[ ${1:-} = -* ]]; do
        options+=("$1")
        shift
    done
    (cd "$repository" && java -ea "${options[@]}" -Drobolectric.offline=true \
        -Drobolectric.dependency.dir="$(dirname "$framework")" -Drobolectric.usePreinstrumentedJars=false \
        -Dlegodnn.screenshots="$build/screenshots" \
        -cp "$build/app-test:$build/app:$classes:$build/robolectric-monitor:$robolectric:$framework" \
        org.junit.runner.JUnitCore "$@")
}

main "$@"
