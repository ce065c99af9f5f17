// SPDX-License-Identifier: Apache-2.0
// The status page's style and script. Private to page.cc.
#ifndef BOOSTER_BOOSTERD_PAGE_ASSETS_H_
#define BOOSTER_BOOSTERD_PAGE_ASSETS_H_

namespace wb::boosterd {

inline constexpr char kPageStyle[] = R"(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#dfe3e8;--ink:#1b2330;--soft:#5b6675;
--blue:#2563eb;--wash:#2563eb22;--good:#15803d;--bad:#b91c1c;--badwash:#b91c1c18}
@media(prefers-color-scheme:dark){:root{--bg:#10141a;--card:#181e27;--line:#2a3340;--ink:#e6eaf0;
--soft:#98a3b3;--blue:#6ea0ff;--wash:#6ea0ff26;--good:#4ade80;--bad:#ff7b72;--badwash:#ff7b7222}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:76rem;margin:0 auto;padding:1.25rem}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem .75rem;margin-bottom:1rem}
h1{font-size:1.35rem;margin:0}
h2{font-size:1rem;margin:1.5rem 0 .6rem;color:var(--soft);font-weight:600}
h3{font-size:1rem;margin:0;overflow-wrap:anywhere;min-width:0}
small,.soft{color:var(--soft);font-size:.85rem}
.tiles{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr))}
.tiles.few{grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr))}
.cards{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr))}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.75rem .9rem;
min-width:0}
.tile b{display:block;font-size:1.35rem;font-weight:600;line-height:1.25;white-space:nowrap}
.tile.wide{margin-bottom:.75rem}.tile.wide svg.spark{height:4.5rem}
.top{display:flex;justify-content:space-between;align-items:baseline;gap:.5rem}
.mark{font-size:.75rem;padding:.05rem .5rem;border-radius:1rem;border:1px solid var(--line);
color:var(--soft);white-space:nowrap}
.mark.good{color:var(--good);border-color:currentColor}
.mark.bad{color:var(--bad);border-color:currentColor;background:var(--badwash)}
svg.spark{display:block;width:100%;height:2.6rem;margin:.5rem 0 .2rem;
border-bottom:1px solid var(--line)}
svg.spark .area{fill:var(--wash)}
svg.spark .line{fill:none;stroke:var(--blue);stroke-width:1.5;vector-effect:non-scaling-stroke;
stroke-linejoin:round}
.facts{display:flex;flex-wrap:wrap;gap:.35rem 1rem;justify-content:space-between;margin:.5rem 0 0}
.facts dt{color:var(--soft);font-size:.78rem}
.facts dd{margin:0;font-variant-numeric:tabular-nums;white-space:nowrap}
.facts dd.bad,.bad b{color:var(--bad)}
ul{list-style:none;margin:.6rem 0 0;padding:.5rem 0 0;border-top:1px solid var(--line)}
li{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 .75rem;overflow-wrap:anywhere}
li i{display:inline-block;width:.55rem;height:.55rem;border-radius:50%;background:var(--good);
margin-right:.45rem}
li.down i{background:var(--bad)}li.down{color:var(--bad)}
meter{width:100%;height:.7rem}
)";

// Every two seconds, while somebody can see it.
inline constexpr char kPageScript[] = R"(
setInterval(async () => {
  if (document.hidden) return;
  try {
    const text = await (await fetch('/', {signal: AbortSignal.timeout(5000)})).text();
    const next = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
    if (next) document.querySelector('main').replaceWith(next);
  } catch (e) {
    document.querySelector('#state').textContent = 'does not answer';
    document.querySelector('#state').className = 'mark bad';
  }
}, 2000);
)";

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_PAGE_ASSETS_H_
