plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.legodnn.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "org.legodnn.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = libs.versions.appVersionCode.get().toInt()
        versionName = libs.versions.appVersionName.get()
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    // What build.sh packed of a demo, or else the small networks that are among the sources.
    sourceSets["main"].assets.srcDir(rootProject.file("build/assets").takeIf { it.exists() } ?: rootProject.file("small-assets"))
    testOptions {
        unitTests.isIncludeAndroidResources = true
        unitTests.all { it.systemProperty("legodnn.screenshots", rootProject.file("build/screenshots").path) }
    }
}

dependencies {
    implementation(project(":lego-runtime"))
    implementation(libs.litert)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
